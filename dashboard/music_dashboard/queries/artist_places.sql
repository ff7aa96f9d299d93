-- Where an artist is heard. A place with fewer listeners than a person could hide among is not named.
with counted as (
    select listens.state, count(*) as plays, count_if(listens.is_stream) as streams, count(distinct listens.user_id) as listeners
    from SILVER.LISTENS as listens
    inner join SILVER.DIM_SONGS as songs on listens.song_key = songs.song_key
    where songs.artist_id = :artist and listens.activity_date between :start and :end/*narrowed*/
    group by listens.state
)

select
    case when listeners >= :least_users then state else 'Other' end as state,
    sum(plays) as plays,
    sum(streams) as streams
from counted
group by 1
order by plays desc, state
