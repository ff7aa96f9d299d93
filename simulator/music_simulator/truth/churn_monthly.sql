with months as (select distinct date_trunc('month', day)::date as month from spine),
gone as (
    select
        date_trunc('month', day)::date as month,
        count(distinct user_id) filter (where kind = 'page_view' and page = 'Cancellation Confirmation') as cancelled,
        count(distinct user_id) filter (where kind = 'status_change' and level = 'paid') as downgraded
    from event group by 1
),
active as (select date_trunc('month', day)::date as month, count(distinct user_id) as users from listen group by 1)
select
    months.month as activity_month,
    coalesce(cancelled, 0) as cancelled,
    coalesce(downgraded, 0) as downgraded,
    coalesce(active.users, 0) as active_users_previous_month,
    case when complete(months.month + interval 1 month) then coalesce(cancelled, 0) / nullif(active.users, 0) end as churn_rate,
    complete(months.month + interval 1 month) as is_complete
from months
left join gone on gone.month = months.month
left join active on active.month = months.month - interval 1 month
order by activity_month
