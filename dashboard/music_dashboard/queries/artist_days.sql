-- An artist's dates.
select activity_date, plays, streams, unique_listeners as listeners, heard_seconds, is_complete
from GOLD.TOP_ARTISTS_DAILY
where artist_id = :artist and activity_date between :start and :end
order by activity_date
