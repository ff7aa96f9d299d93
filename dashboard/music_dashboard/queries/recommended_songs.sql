-- The songs in most users' lists, and why they are there. A list has a song once.
with counted as (
    select
        song_key,
        count(*) as users,
        count_if(reason = 'again') as again,
        count_if(reason = 'taste') as taste,
        count_if(reason = 'popular') as popular
    from GOLD.RECOMMENDATIONS
    group by song_key
)

select
    songs.song_title,
    songs.artist_id,
    songs.artist_name,
    counted.users,
    counted.again / counted.users::float as again_share,
    counted.taste / counted.users::float as taste_share,
    counted.popular / counted.users::float as popular_share,
    (select count(distinct user_id) from GOLD.RECOMMENDATIONS) as users_with_a_list
from counted
inner join SILVER.DIM_SONGS as songs on counted.song_key = songs.song_key
where counted.users >= :least_users
order by counted.users desc, songs.song_title, counted.song_key
limit 40
