select day as activity_date, device_type, device_os, count(*) as plays, count(*) filter (where is_stream) as streams,
    count(distinct user_id) as users, complete(day + 1) as is_complete
from listen group by all order by activity_date, device_type, device_os
