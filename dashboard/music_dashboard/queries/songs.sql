-- Songs of a period by plays, with their rank in the period before.
with counted as (
    select
        song_key,
        max(song_title) as song_title,
        max(artist_id) as artist_id,
        max(artist_name) as artist_name,
        sum(case when activity_date between :period_start and :period_end then plays else 0 end) as plays,
        sum(case when activity_date between :period_start and :period_end then streams else 0 end) as streams,
        sum(case when activity_date between :before_start and :before_end then plays else 0 end) as plays_before
    from GOLD.TOP_SONGS_DAILY
    where activity_date between :before_start and :period_end
    group by song_key
),

ranked as (
    select
        *,
        rank() over (order by plays desc) as chart_rank,
        case when plays_before > 0 then rank() over (order by plays_before desc) end as previous_rank
    from counted
)

select chart_rank, previous_rank, song_title, artist_id, artist_name, plays, streams
from ranked
where plays > 0
order by chart_rank, song_title, song_key
limit 40
