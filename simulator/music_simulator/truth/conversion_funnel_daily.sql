with counted as (
    select
        day,
        count(distinct (visitor, session_id, day_run)) filter (where kind = 'page_view') as visitors,
        count(*) filter (where kind = 'page_view' and page = 'Submit Registration') as registrations,
        count(*) filter (where kind = 'page_view' and page = 'Upgrade') as upgrade_views,
        count(*) filter (where kind = 'status_change' and level = 'free') as upgrades
    from event group by day
)
select
    spine.day as activity_date,
    coalesce(visitors, 0) as visitors, coalesce(registrations, 0) as registrations,
    coalesce(upgrade_views, 0) as upgrade_views, coalesce(upgrades, 0) as upgrades,
    registrations / nullif(visitors, 0) as registration_rate,
    upgrades / nullif(upgrade_views, 0) as upgrade_rate,
    upgrades / nullif(visitors, 0) as conversion_rate
from spine left join counted using (day) order by activity_date
