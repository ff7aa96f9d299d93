-- The songs that others go with, to choose from; those of most sessions first.
select together.song_key as value, max(songs.song_title) || ' · ' || max(songs.artist_name) as label
from GOLD.SONGS_HEARD_TOGETHER as together
inner join SILVER.DIM_SONGS as songs on together.song_key = songs.song_key
group by together.song_key
order by max(together.sessions) desc, label, value
limit 1000
