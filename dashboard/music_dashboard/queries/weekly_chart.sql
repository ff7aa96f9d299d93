-- The chart of a week over all genres, in one of its editions. Without a country, the chart of all.
select
    chart_rank, previous_rank, song_title, artist_id, artist_name, points, paid_streams, free_streams, peak_rank,
    weeks_on_chart, is_new
from GOLD.CHARTS_WEEKLY
where chart_week = :chart_week and edition = :edition and country = :chart_country and genre = 'All'
order by chart_rank, song_title, song_key
