-- Each hour of the latest date, beside the same hour of the date before.
select activity_hour, plays, plays_previous_day, streams, users as listeners, is_complete
from GOLD.HOURLY_METRICS
where activity_hour >= :last_date and activity_hour < :day_after
order by activity_hour
