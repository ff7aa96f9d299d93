select day as activity_date, state, city, count(*) as plays, count(distinct user_id) as users
from listen group by all order by activity_date, state, city
