-- Subscribers of each month who were lost and gained.
select activity_month, opening, lost, gained, closing, cancelled, downgraded, churn_rate, is_complete
from GOLD.CHURN_MONTHLY
order by activity_month desc
