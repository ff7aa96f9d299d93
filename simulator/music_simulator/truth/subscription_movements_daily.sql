with sides as (
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
    closing * coalesce(
        (select arg_max(monthly_cents, valid_from) from plan_price as p
         where p.plan = days.plan and p.country = days.country and valid_from <= days.day),
        (select arg_max(monthly_cents, valid_from) from plan_price as p
         where p.plan = days.plan and p.country = 'All' and valid_from <= days.day)
    ) as mrr_cents,
    complete(days.day + 1) as is_complete
from days left join sides on sides.plan = days.plan and sides.country = days.country and sides.day <= days.day
group by days.day, days.plan, days.country
order by activity_date, plan, country
