with visit as (
    select
        min(ts)::date as day, visitor, any_value(user_id) as user_id, session_id,
        min(ts) filter (where kind = 'page_view' and auth = 'Guest') as guest_at,
        max(ts) filter (where kind = 'page_view' and page = 'Submit Registration') as registered_at
    from event group by visitor, session_id, run
    having count(*) filter (where kind = 'page_view') > 0
),
visited as (
    select
        day, count(distinct visitor) as visitors,
        count(distinct session_id) filter (where guest_at is not null) as guests,
        count(distinct session_id) filter (where registered_at > guest_at) as registrations
    from visit group by day
),
joined as (
    select day, user_id, min(registered_at) as registered_at from visit where registered_at > guest_at group by day, user_id
),
steps as (
    select
        joined.*,
        (select min(ts) from event where event.user_id = joined.user_id and kind = 'page_view' and page = 'Upgrade'
            and ts between registered_at and registered_at + interval 30 day) as viewed_at,
        (select max(ts) from event where event.user_id = joined.user_id and kind = 'status_change' and level = 'free'
            and ts <= registered_at + interval 30 day) as bought_at
    from joined
),
taken as (
    select day, count(viewed_at) as viewers, count(*) filter (where bought_at >= viewed_at) as buyers from steps group by day
),
counted as (
    select
        spine.day as activity_date,
        coalesce(visitors, 0) as visitors, coalesce(guests, 0) as guests, coalesce(registrations, 0) as registrations,
        coalesce(viewers, 0) as upgrade_viewers_30d, coalesce(buyers, 0) as upgraders_30d,
        complete(spine.day + 31) as is_complete
    from spine left join visited using (day) left join taken using (day)
)
select
    *,
    registrations / nullif(guests, 0) as registration_rate,
    case when is_complete then upgrade_viewers_30d / nullif(registrations, 0) end as upgrade_view_rate,
    case when is_complete then upgraders_30d / nullif(registrations, 0) end as conversion_rate
from counted order by activity_date
