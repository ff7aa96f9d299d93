select day as activity_date, genre, count(*) as plays, count(*) filter (where is_stream) as streams,
    count(distinct user_id) as unique_listeners, complete(day + 1) as is_complete
from listen group by all order by activity_date, genre
