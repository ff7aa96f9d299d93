select day as activity_date, gender, level, state, count(distinct user_id) as users, count(*) as plays
from listen group by all order by activity_date, gender, level, state
