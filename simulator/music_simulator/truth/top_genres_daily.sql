select day as activity_date, genre, count(*) as plays, count(distinct user_id) as unique_listeners
from listen group by all order by activity_date, genre
