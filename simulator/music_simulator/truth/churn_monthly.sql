-- Who subscribes at the end of a date, until the date of the next movement.
with period as (
    select user_id, plan, day as since, lead(day) over (partition by user_id order by day) as until from moved
),
months as (select distinct date_trunc('month', day)::date as month, (select min(day) from spine) as begin from spine),
ends as (select month, month - 1 as before, (month + interval 1 month)::date - 1 as last from months),
opened as (
    select month, user_id from ends join period on plan is not null and since <= before and coalesce(until > before, true)
),
closed as (
    select month, user_id from ends join period on plan is not null and since <= last and coalesce(until > last, true)
),
gone as (
    select
        date_trunc('month', day)::date as month,
        count(distinct user_id) filter (where movement = 'cancelled') as cancelled,
        count(distinct user_id) filter (where movement = 'downgraded') as downgraded
    from moved group by 1
),
counted as (
    select
        month as activity_month,
        (select count(*) from opened where opened.month = months.month) as opening,
        (select count(*) from opened where opened.month = months.month and user_id not in (
            select user_id from closed where closed.month = months.month)) as lost,
        (select count(*) from closed where closed.month = months.month and user_id not in (
            select user_id from opened where opened.month = months.month)) as gained,
        (select count(*) from closed where closed.month = months.month) as closing,
        complete(month + interval 1 month) as is_complete, begin
    from months
)
select
    counted.* exclude (begin), coalesce(cancelled, 0) as cancelled, coalesce(downgraded, 0) as downgraded,
    case when is_complete and begin < activity_month then lost / nullif(opening, 0) end as churn_rate
from counted left join gone on gone.month = activity_month order by activity_month
