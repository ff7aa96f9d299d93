-- From a guest's first look to a subscription, of the visits of these dates.
select
    sum(visitors) as visitors,
    sum(guests) as guests,
    sum(registrations) as registrations,
    sum(upgrade_viewers_30d) as upgrade_viewers_30d,
    sum(upgraders_30d) as upgraders_30d,
    count_if(not is_complete) as running_dates
from GOLD.CONVERSION_FUNNEL_DAILY
where activity_date between :start and :end
