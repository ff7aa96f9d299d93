-- Users with many plays who have not listened for two weeks before the latest complete date, most active first.
with today as (
    select max(activity_date) as activity_date from gold.daily_summary where is_complete
)

select users.user_id, users.plays, users.days_active, users.last_active_on
from gold.user_activity_tiers as users
cross join today
where users.plays >= 100 and users.last_active_on <= dateadd('day', -14, today.activity_date)
order by users.plays desc, users.user_id;
