select day as activity_date, gender, level, state, count(distinct user_id) as users, count(*) as plays,
    count(*) filter (where is_stream) as streams, complete(day + 1) as is_complete
from listen group by all order by activity_date, gender, level, state
