-- What each user subscribes to after the last event of each of their dates.
with ended as (
    select
        user_id, day,
        arg_max(case when kind = 'status_change' then if(level = 'free', 'paid', 'free') else level end, place) as level,
        arg_max(kind = 'page_view' and page = 'Cancellation Confirmation', place) as cancels
    from (select *, (ts, session_id, item, kind) as place from event where user_id is not null)
    group by user_id, day
),
located as (
    select
        user_id, day, level, cancels,
        (select arg_max(country, (ts, session_id, item, kind)) from event
         where event.user_id = ended.user_id and event.day <= ended.day and country is not null) as country
    from ended
),
first_level as (
    select user_id, arg_min(level, (ts, session_id, item, kind)) as level from event where user_id is not null group by user_id
),
plans as (
    select
        user_id, day, cancels, first_level.level <> 'free' as began,
        case when located.level <> 'free' and not cancels then located.level end as plan,
        case when located.level <> 'free' and not cancels then coalesce(country, 'Unknown') end as country
    from located join first_level using (user_id)
),
chained as (
    select
        *,
        lag(plan) over by_day as plan_before, lag(country) over by_day as country_before,
        row_number() over by_day as n,
        coalesce(bool_or(plan is not null) over (by_day rows between unbounded preceding and 1 preceding), false) as had
    from plans
    window by_day as (partition by user_id order by day)
),
moved as (
    select
        *,
        case
            when plan is null then if(cancels, 'cancelled', 'downgraded')
            when plan_before is not null then 'moved'
            when had then 'reactivated'
            when n = 1 and began then 'first_seen'
            else 'new'
        end as movement
    from chained where plan is distinct from plan_before or country is distinct from country_before
),
sides as (
    select day, plan, country, movement, 1 as change from moved where plan is not null
    union all
    select day, plan_before, country_before, movement, -1 from moved where plan_before is not null
),
cells as (select plan, country, min(day) as first_day from sides group by all),
days as (select spine.day, plan, country from spine join cells on spine.day >= first_day)
select
    days.day as activity_date, days.plan, days.country,
    coalesce(sum(change) filter (where sides.day < days.day), 0)::bigint as opening,
    count(*) filter (where sides.day = days.day and movement = 'first_seen') as first_seen,
    count(*) filter (where sides.day = days.day and movement = 'new') as new,
    count(*) filter (where sides.day = days.day and movement = 'reactivated') as reactivated,
    count(*) filter (where sides.day = days.day and movement = 'moved' and change > 0) as moved_in,
    count(*) filter (where sides.day = days.day and movement = 'moved' and change < 0) as moved_out,
    count(*) filter (where sides.day = days.day and movement = 'downgraded') as downgraded,
    count(*) filter (where sides.day = days.day and movement = 'cancelled') as cancelled,
    coalesce(sum(change) filter (where sides.day <= days.day), 0)::bigint as closing,
    complete(days.day + 1) as is_complete
from days left join sides on sides.plan = days.plan and sides.country = days.country and sides.day <= days.day
group by days.day, days.plan, days.country
order by activity_date, plan, country
