-- From guests to registered users in one month: the month of `today`, by default the current date in UTC. Who upgrades is
-- known 30 days later.
set today = sysdate()::date;

select
    sum(guests) as guests,
    sum(registrations) as registrations,
    sum(upgrade_viewers_30d) as upgrade_viewers,
    sum(upgraders_30d) as upgraders,
    case when sum(guests) > 0 then sum(registrations)::float / sum(guests) end as registration_rate
from gold.conversion_funnel_daily
where activity_date >= date_trunc('month', $today::date)::date::date
    and activity_date < dateadd('month', 1, date_trunc('month', $today::date)::date)::date;
