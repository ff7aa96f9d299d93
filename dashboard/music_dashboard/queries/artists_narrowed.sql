-- Artists of a period by plays, with their rank in the period before, of some listens.
with counted as (
    select
        songs.artist_id,
        max(songs.artist_name) as artist_name,
        count_if(listens.activity_date between :period_start and :period_end) as plays,
        count_if(listens.activity_date between :period_start and :period_end and listens.is_stream) as streams,
        count_if(listens.activity_date between :before_start and :before_end) as plays_before
    from SILVER.LISTENS as listens
    inner join SILVER.DIM_SONGS as songs on listens.song_key = songs.song_key
    where listens.activity_date between :before_start and :period_end/*narrowed*/
    group by songs.artist_id
),

ranked as (
    select
        *,
        rank() over (order by plays desc) as chart_rank,
        case when plays_before > 0 then rank() over (order by plays_before desc) end as previous_rank
    from counted
)

select chart_rank, previous_rank, artist_id, artist_name, plays, streams
from ranked
where plays > 0
order by chart_rank, artist_name, artist_id
limit 40
