with counted as (
    select
        spine.day as activity_date,
        (select count(*) from listen where listen.day = spine.day) as plays,
        (select count(*) from listen where listen.day = spine.day and is_stream) as streams,
        (select count(distinct user_id) from listen where listen.day = spine.day) as active_users,
        (select count(distinct (visitor, session_id, day_run)) from event where event.day = spine.day) as sessions,
        complete(spine.day + 1) as is_complete
    from spine
)
select
    *,
    case when is_complete then plays - lag(plays) over before end as plays_change,
    case when is_complete then active_users - lag(active_users) over before end as active_users_change,
    case when is_complete then sessions - lag(sessions) over before end as sessions_change,
    case when is_complete and row_number() over before > 6 then sum(plays) over week / 7 end as plays_7d_avg,
    case when is_complete and row_number() over before > 6 then sum(active_users) over week / 7 end as active_users_7d_avg,
    case when is_complete and row_number() over before > 6 then sum(sessions) over week / 7 end as sessions_7d_avg
from counted
window before as (order by activity_date), week as (order by activity_date rows 6 preceding)
order by activity_date
