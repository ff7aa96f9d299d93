-- The most played titles with their country, all time. By state, because silver.listens masks the city.
with countries as (
    select distinct state, country from silver.dim_locations
)

select coalesce(countries.country, 'Unknown') as country, songs.song_title, songs.artist_name, count(*) as plays
from silver.listens as listens
left join countries on listens.state = countries.state
inner join silver.dim_songs as songs on listens.song_key = songs.song_key
group by coalesce(countries.country, 'Unknown'), songs.song_key, songs.song_title, songs.artist_name
order by plays desc, country, songs.song_key
limit 20;
