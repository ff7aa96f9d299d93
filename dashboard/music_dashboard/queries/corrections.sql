-- Places of a week's chart that have changed since it was published, and why.
select
    current_chart.song_title,
    current_chart.artist_name,
    published.chart_rank as published_rank,
    current_chart.chart_rank as current_rank,
    published.paid_streams + published.free_streams as published_streams,
    current_chart.paid_streams + current_chart.free_streams as current_streams,
    current_chart.reason
from GOLD.CHARTS_WEEKLY as current_chart
left join GOLD.CHARTS_WEEKLY as published
    on
        current_chart.chart_week = published.chart_week
        and current_chart.country = published.country
        and current_chart.genre = published.genre
        and current_chart.song_key = published.song_key
        and published.edition = 'published'
where
    current_chart.chart_week = :chart_week
    and current_chart.country = :chart_country
    and current_chart.genre = 'All'
    and current_chart.edition = 'current'
    and current_chart.reason is not null
order by current_chart.chart_rank, current_chart.song_title, current_chart.song_key
