with counted as (
    select
        user_id, count(*) as plays, count(distinct day) as days_active, max(day) as last_active_on,
        count(*) filter (where day between as_of::date - 28 and as_of::date - 1) as plays_28d,
        count(distinct day) filter (where day between as_of::date - 28 and as_of::date - 1) as days_active_28d
    from listen, as_of group by user_id
)
select
    *,
    case
        when plays_28d >= heavy_plays() then 'heavy' when plays_28d >= regular_plays() then 'regular'
        when plays_28d > 0 then 'light' else 'inactive'
    end as tier
from counted order by user_id
