-- Songs of the Year, latest year first.
select activity_year, song_rank, song_title, artist_id, artist_name, plays, is_complete
from GOLD.SONG_OF_THE_YEAR
order by activity_year desc, song_rank, song_title, song_key
