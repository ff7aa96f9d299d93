-- The most played titles with their country, all time.
select places.country, songs.song_title, songs.artist_name, count(*) as plays
from silver.listens as listens
inner join silver.dim_locations as places on listens.state = places.state and listens.city = places.city
inner join silver.dim_songs as songs on listens.song_key = songs.song_key
group by places.country, songs.song_key, songs.song_title, songs.artist_name
order by plays desc, places.country, songs.song_key
limit 20;
