-- The songs with the most plays in the latest hour.
with counted as (
    select song_key, count(*) as plays, count_if(is_stream) as streams
    from SILVER.LISTENS
    where activity_date = :latest_date and activity_hour = :latest_hour/*narrowed*/
    group by song_key
)

select songs.song_title, songs.artist_id, songs.artist_name, counted.plays, counted.streams
from counted
inner join SILVER.DIM_SONGS as songs on counted.song_key = songs.song_key
order by counted.plays desc, counted.streams desc, songs.song_title, songs.song_key
limit 10
