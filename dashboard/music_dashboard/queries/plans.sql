-- Subscribers of each plan at the end of each date.
select activity_date, plan, sum(closing) as subscribers
from GOLD.SUBSCRIPTION_MOVEMENTS_DAILY
where activity_date between :start and :end/*narrowed*/
group by activity_date, plan
order by activity_date, plan
