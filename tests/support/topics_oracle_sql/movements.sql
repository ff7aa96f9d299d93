with recursive day as (
    select min(activity_date) as d, max(activity_date) as last from fact
    union all
    select (d + interval 1 day)::date, last from day where d < last
),
-- After the last event of each date of a user: level, cancelled or not, the country said last.
state as (
    select
        user_id, happened_at::date as d,
        arg_max(if(kind = 'status_change', level_after, level), (happened_at, session_id, item, kind, event_id)) as level,
        arg_max(coalesce(page = 'Cancellation Confirmation', false), (happened_at, session_id, item, kind, event_id)) as cancels,
        arg_max(country, (happened_at, session_id, item, kind, event_id)) filter (where country is not null) as country,
        arg_min(level, (happened_at, session_id, item, kind, event_id)) as level_at_first
    from event where user_id is not null group by all
),
subscription as (
    select
        user_id, d, cancels,
        if(level <> 'free' and not cancels, level || '|' || coalesce(last_value(country ignore nulls) over (
            partition by user_id order by d rows between unbounded preceding and current row
        ), 'Unknown'), null) as cell,
        first_value(level_at_first) over (partition by user_id order by d) <> 'free' and d = min(d) over (partition by user_id)
            as begins_subscribed
    from state
),
change as (
    select
        *, lag(cell) over (partition by user_id order by d) as cell_before,
        count(cell) over (partition by user_id order by d rows between unbounded preceding and 1 preceding) as subscribed_before
    from subscription
),
entry as (
    select d, cell, +1 as n, case
        when cell_before is not null then 'moved_in' when subscribed_before > 0 then 'reactivated'
        when begins_subscribed then 'first_seen' else 'new' end as how
    from change where cell is not null and cell is distinct from cell_before
    union all
    select d, cell_before, -1, case when cell is not null then 'moved_out' when cancels then 'cancelled' else 'downgraded' end
    from change where cell_before is not null and cell is distinct from cell_before
)
select
    day.d as activity_date, split_part(c.cell, '|', 1) as plan, split_part(c.cell, '|', 2) as country,
    coalesce(sum(n) filter (where entry.d < day.d), 0) as opening,
    count(*) filter (where entry.d = day.d and how = 'first_seen') as first_seen,
    count(*) filter (where entry.d = day.d and how = 'new') as new,
    count(*) filter (where entry.d = day.d and how = 'reactivated') as reactivated,
    count(*) filter (where entry.d = day.d and how = 'moved_in') as moved_in,
    count(*) filter (where entry.d = day.d and how = 'moved_out') as moved_out,
    count(*) filter (where entry.d = day.d and how = 'downgraded') as downgraded,
    count(*) filter (where entry.d = day.d and how = 'cancelled') as cancelled,
    coalesce(sum(n) filter (where entry.d <= day.d), 0) as closing,
    closing * (
        select monthly_cents from price
        where price.plan = split_part(c.cell, '|', 1) and price.valid_from <= day.d and price.country in (split_part(c.cell, '|', 2), 'All')
        order by price.country = 'All', price.valid_from desc limit 1
    ) as mrr_cents
from (select cell, min(d) as since from entry group by cell) as c
join day on day.d >= c.since
left join entry on entry.cell = c.cell
group by day.d, c.cell
