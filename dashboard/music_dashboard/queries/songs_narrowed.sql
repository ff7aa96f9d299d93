-- Songs of a period by plays, with their rank in the period before, of some listens.
with counted as (
    select
        song_key,
        count_if(activity_date between :period_start and :period_end) as plays,
        count_if(activity_date between :period_start and :period_end and is_stream) as streams,
        count_if(activity_date between :before_start and :before_end) as plays_before
    from SILVER.LISTENS
    where activity_date between :before_start and :period_end/*narrowed*/
    group by song_key
),

ranked as (
    select
        *,
        rank() over (order by plays desc) as chart_rank,
        case when plays_before > 0 then rank() over (order by plays_before desc) end as previous_rank
    from counted
)

select
    ranked.chart_rank, ranked.previous_rank, songs.song_title, songs.artist_id, songs.artist_name, ranked.plays,
    ranked.streams
from ranked
inner join SILVER.DIM_SONGS as songs on ranked.song_key = songs.song_key
where ranked.plays > 0
order by ranked.chart_rank, songs.song_title, ranked.song_key
limit 40
