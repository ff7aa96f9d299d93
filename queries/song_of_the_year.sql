-- The songs of each year. Songs with equal plays share a rank.
select activity_year, song_rank, song_title, artist_name, plays
from gold.song_of_the_year
order by activity_year desc, song_rank, song_key;
