-- An artist's listeners of the 28 days that end on each date.
select
    activity_date, artist_name, listeners_28d, streams_28d, super_listeners, moderate_listeners, light_listeners,
    top_country, top_state, is_complete
from GOLD.ARTIST_AUDIENCE_DAILY
where artist_id = :artist and activity_date between :start and :end
order by activity_date
