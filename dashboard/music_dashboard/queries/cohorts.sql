-- Weekly cohorts and how many of each return, week by week. All cohorts, whatever the dates.
select cohort_week, week_number, users, returning_users, retention_rate
from GOLD.RETENTION_COHORTS
where is_complete and users > 0
order by cohort_week, week_number
