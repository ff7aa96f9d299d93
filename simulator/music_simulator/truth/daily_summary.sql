with counted as (
    select
        spine.day as activity_date,
        (select count(*) from listen where listen.day = spine.day) as plays,
        (select count(*) from listen where listen.day = spine.day and is_stream) as streams,
        (select count(distinct user_id) from listen where listen.day = spine.day) as active_users,
        (select count(distinct (visitor, session_id, day_run)) from event where event.day = spine.day) as sessions
    from spine
)
select
    *,
    plays - lag(plays) over before as plays_change,
    active_users - lag(active_users) over before as active_users_change,
    sessions - lag(sessions) over before as sessions_change,
    case when row_number() over before > 6 then sum(plays) over week / 7 end as plays_7d_avg,
    case when row_number() over before > 6 then sum(active_users) over week / 7 end as active_users_7d_avg,
    case when row_number() over before > 6 then sum(sessions) over week / 7 end as sessions_7d_avg
from counted
window before as (order by activity_date), week as (order by activity_date rows 6 preceding)
order by activity_date
