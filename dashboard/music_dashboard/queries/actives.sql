-- Daily, weekly and monthly active users.
select activity_date, daily_active_users, active_users_7d, active_users_30d, stickiness, is_complete
from GOLD.ACTIVE_USERS_DAILY
where activity_date between :start and :end
order by activity_date
