-- Artists of the Year, latest year first.
select activity_year, artist_rank, artist_id, artist_name, plays, is_complete
from GOLD.ARTIST_OF_THE_YEAR
order by activity_year desc, artist_rank, artist_name, artist_id
