-- Each hour of the latest date, beside the same hour of the date before, of some listens.
with counted as (
    select activity_hour, count(*) as plays, count_if(is_stream) as streams, count(distinct user_id) as listeners
    from SILVER.LISTENS
    where activity_date between :day_before and :last_date/*narrowed*/
    group by activity_hour
)

select
    hours.activity_hour,
    coalesce(today.plays, 0) as plays,
    coalesce(before.plays, 0) as plays_previous_day,
    coalesce(today.streams, 0) as streams,
    coalesce(today.listeners, 0) as listeners,
    hours.is_complete
from GOLD.HOURLY_METRICS as hours
left join counted as today on hours.activity_hour = today.activity_hour
left join counted as before on dateadd('day', -1, hours.activity_hour) = before.activity_hour
where hours.activity_hour >= :last_date and hours.activity_hour < :day_after
order by hours.activity_hour
