with joined as (
    select
        user_id, min(registered_at)::date as day,
        coalesce(arg_min(country, (ts, session_id, item, kind)) filter (where country is not null), 'Unknown') as country
    from event where user_id is not null group by 1
),
cohorts as (
    select user_id, country, day, date_trunc('week', day)::date as week from joined
    where date_trunc('week', day) >= (select min(day) from spine) and day <= (select max(day) from spine)
),
followed as (
    select
        week, country, n, complete(cohorts.day + n + 1) as is_old_enough,
        exists (select 1 from listen where listen.user_id = cohorts.user_id and listen.day = cohorts.day + n) as returned,
        exists (select 1 from listen where listen.user_id = cohorts.user_id and listen.day >= cohorts.day + n) as stayed
    from cohorts, unnest([1, 7, 14, 28, 90]) as t (n)
),
counted as (
    select
        week as cohort_week, country, n as day_number, complete(week + 7 + n) as is_complete,
        count(*) filter (where is_old_enough) as eligible,
        count(*) filter (where is_old_enough and returned) as retained,
        count(*) filter (where is_old_enough and stayed) as retained_or_later
    from followed group by all
)
select
    *,
    case when is_complete then retained / nullif(eligible, 0) end as retention_rate,
    case when is_complete then retained_or_later / nullif(eligible, 0) end as rolling_retention_rate
from counted order by cohort_week, country, day_number
