-- The first and the last date of the marts, and the latest hour with a listen.
select
    min(activity_date) as first_date,
    max(activity_date) as last_date,
    (select max(activity_hour) from GOLD.HOURLY_METRICS where plays > 0) as latest_hour
from GOLD.DAILY_SUMMARY
