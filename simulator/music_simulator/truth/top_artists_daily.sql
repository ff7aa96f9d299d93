select
    day as activity_date, artist_id, artist_name, count(*) as plays, count(distinct user_id) as unique_listeners,
    sum(duration_e5) / 1e5 as seconds
from listen group by all order by activity_date, artist_id
