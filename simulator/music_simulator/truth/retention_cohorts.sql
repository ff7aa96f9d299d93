with joined as (select user_id, date_trunc('week', min(registered_at))::date as cohort from event where user_id is not null group by 1),
cohorts as (select * from joined where cohort >= (select min(day) from spine) and cohort <= (select max(day) from spine)),
sizes as (select cohort, count(*) as users from cohorts group by cohort),
seen as (select distinct user_id, week from listen),
weeks as (
    select cohort, users, cast(unnest(generate_series(cohort, (select max(day) from spine), interval 7 day)) as date) as week
    from sizes
),
counted as (select cohort, week, count(*) as returning_users from cohorts join seen using (user_id) group by cohort, week)
select
    cohort as cohort_week, week as activity_week, (week - cohort) // 7 as week_number, users,
    coalesce(returning_users, 0) as returning_users,
    case when complete(week + 7) then coalesce(returning_users, 0) / users end as retention_rate,
    complete(week + 7) as is_complete
from weeks left join counted using (cohort, week) order by cohort_week, activity_week
