with joined as (
    select
        user_id, min(registered_at) as registered_at,
        coalesce(arg_min(country, (ts, session_id, item, kind)) filter (where country is not null), 'Unknown') as country
    from event where user_id is not null group by user_id
),
cohorts as (
    select *, date_trunc('week', registered_at)::date as week from joined
    where date_trunc('week', registered_at) >= (select min(day) from spine) and registered_at::date <= (select max(day) from spine)
),
followed as (
    select
        week, country,
        (select min(ts) from listen where listen.user_id = cohorts.user_id and is_stream
            and ts between cohorts.registered_at and cohorts.registered_at + interval 30 day) as streamed_at,
        (select count(*) from session where visitor = cohorts.user_id
            and session_start > cohorts.registered_at and session_start <= cohorts.registered_at + interval 7 day) as visits,
        (select min(ts) from event where event.user_id = cohorts.user_id and kind = 'page_view' and page = 'Upgrade'
            and ts between cohorts.registered_at and cohorts.registered_at + interval 30 day) as viewed_at,
        (select min(ts) from event where event.user_id = cohorts.user_id and kind = 'status_change' and level = 'free'
            and ts <= cohorts.registered_at + interval 30 day and ts >= (
                select min(ts) from event as seen where seen.user_id = cohorts.user_id and kind = 'page_view' and page = 'Upgrade'
                and ts >= cohorts.registered_at
            )) as bought_at,
        registered_at
    from cohorts
),
counted as (
    select
        week as cohort_week, country, count(*) as users,
        count(*) filter (where streamed_at < registered_at + interval 24 hour) as activated,
        count(*) filter (where streamed_at < registered_at + interval 24 hour and visits >= 2) as returned,
        count(viewed_at) as upgrade_viewers, count(bought_at) as upgraders,
        median(epoch(streamed_at) - epoch(registered_at)) / 3600 as hours_to_stream,
        median(epoch(bought_at) - epoch(registered_at)) / 3600 as hours_to_upgrade, complete(week + 37) as is_complete
    from followed group by week, country
)
select
    cohort_week, country, users, activated, returned, upgrade_viewers, upgraders,
    case when is_complete then activated / users end as activation_rate,
    case when is_complete then returned / nullif(activated, 0) end as return_rate,
    case when is_complete then upgrade_viewers / users end as upgrade_view_rate,
    case when is_complete then upgraders / users end as free_to_paid_rate,
    case when is_complete then hours_to_stream end as median_hours_to_stream,
    case when is_complete then hours_to_upgrade end as median_hours_to_upgrade,
    is_complete
from counted order by cohort_week, country
