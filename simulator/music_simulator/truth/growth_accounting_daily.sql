with seen as (select distinct user_id, day, min(day) over (partition by user_id) as first_day from listen),
counted as (
    select
        spine.day,
        (select count(distinct user_id) from seen where seen.day between spine.day - 27 and spine.day) as active_28d,
        (select count(*) from seen where seen.day = spine.day and first_day = spine.day) as new,
        (select count(*) from seen where seen.day = spine.day and first_day < spine.day and not exists (
            select 1 from seen as before where before.user_id = seen.user_id and before.day between spine.day - 28 and spine.day - 1
        )) as resurrected,
        (select count(*) from seen where seen.day = spine.day - 28 and not exists (
            select 1 from seen as later where later.user_id = seen.user_id and later.day between spine.day - 27 and spine.day
        )) as churned
    from spine
)
select
    day as activity_date, coalesce(lag(active_28d) over by_day, 0) as opening, new, resurrected, churned,
    coalesce(lag(active_28d) over by_day, 0) - churned as retained, active_28d as closing,
    case when complete(day + 1) and day - 28 >= (select min(day) from spine) then (new + resurrected) / nullif(churned, 0) end
        as quick_ratio,
    complete(day + 1) as is_complete
from counted window by_day as (order by day) order by activity_date
