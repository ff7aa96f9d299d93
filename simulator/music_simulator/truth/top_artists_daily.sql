select
    day as activity_date, artist_id, artist_name, count(*) as plays, count(*) filter (where is_stream) as streams,
    count(distinct user_id) as unique_listeners,
    sum(heard_e6) / 1e6 as heard_seconds, sum(duration_e5) / 1e5 as nominal_seconds,
    complete(day + 1) as is_complete
from listen group by all order by activity_date, artist_id
