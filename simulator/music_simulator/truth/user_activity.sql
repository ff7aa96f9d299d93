with counted as (
    select
        user_id, min(day) as first_active_on, max(day) as last_active_on, count(distinct day) as days_active,
        count(*) as plays
    from listen group by user_id
),
joined as (select user_id, min(registered_at)::date as registered_on from event where user_id is not null group by 1),
days as (
    select user_id, cast(unnest(generate_series(first_active_on, last_active_on, interval 1 day)) as date) as day from counted
),
written as (
    select user_id, string_agg(if(seen.day is null, '0', '1'), '' order by days.day) as active_dates
    from days left join (select distinct user_id, day from listen) as seen using (user_id, day) group by user_id
)
select user_id, registered_on, first_active_on, last_active_on, active_dates, days_active, plays
from counted join written using (user_id) left join joined using (user_id) order by user_id
