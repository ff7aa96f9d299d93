-- The hour with the most plays ever, and how many users it had.
select activity_hour, plays, users
from gold.hourly_metrics
order by plays desc, activity_hour
limit 1;
