-- From visitors to paying users in one month: the month of `today`, by default the current date in UTC.
set today = sysdate()::date;

select
    sum(visitors) as visitors,
    sum(registrations) as registrations,
    sum(upgrade_views) as upgrade_views,
    sum(upgrades) as upgrades,
    case when sum(visitors) > 0 then sum(upgrades)::float / sum(visitors) end as conversion_rate
from gold.conversion_funnel_daily
where activity_date >= date_trunc('month', $today::date)::date::date
    and activity_date < dateadd('month', 1, date_trunc('month', $today::date)::date)::date;
