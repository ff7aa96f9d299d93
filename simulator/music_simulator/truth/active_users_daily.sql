with seen as (select distinct day, user_id from listen),
counted as (
    select
        spine.day,
        (select count(distinct user_id) from seen where seen.day = spine.day) as daily_active_users,
        (select count(distinct user_id) from seen where seen.day between spine.day - 6 and spine.day) as active_users_7d,
        (select count(distinct user_id) from seen where seen.day between spine.day - 29 and spine.day) as active_users_30d
    from spine
)
select
    day as activity_date, * exclude (day),
    case when complete(day + 1) and day - 29 >= (select min(day) from spine) then daily_active_users / nullif(active_users_30d, 0) end as stickiness,
    complete(day + 1) as is_complete
from counted order by activity_date
