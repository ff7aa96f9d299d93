-- Heavy and regular users who have not listened for two weeks before the latest listen on the platform.
with last_listens as (
    select user_id, max(activity_date) as last_date
    from gold.user_engagement_daily
    where plays > 0
    group by user_id
),

today as (
    select max(activity_date) as activity_date from gold.daily_summary
)

select tiers.user_id, tiers.tier, tiers.plays, last_listens.last_date
from gold.user_activity_tiers as tiers
inner join last_listens on tiers.user_id = last_listens.user_id
cross join today
where tiers.tier in ('heavy', 'regular') and last_listens.last_date <= dateadd('day', -14, today.activity_date)
order by tiers.plays desc, tiers.user_id;
