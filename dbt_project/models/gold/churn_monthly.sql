{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['activity_month']
) }}
{%- set window = open_window() %}

with months as (
    select
        month_start as activity_month,
        {{ last_date_of('month', 'month_start') }} as last_date,
        row_number() over (order by month_start) as month_number
    from {{ ref('dim_dates') }}
    where is_in_spine
    group by month_start
),

-- What a user subscribes to from a movement to the date before the next one.
periods as (
    select
        user_id,
        plan,
        movement,
        activity_date as since,
        lead(activity_date) over (partition by user_id order by activity_date) as until
    from {{ ref('subscriptions') }}
),

subscribed as (
    select
        months.activity_month,
        periods.user_id,
        boolor_agg(
            periods.since < months.activity_month and coalesce(periods.until >= months.activity_month, true)
        ) as at_first,
        boolor_agg(coalesce(periods.until > months.last_date, true)) as at_last
    from periods
    inner join months
        on periods.since <= months.last_date and coalesce(periods.until >= months.activity_month, true)
    where periods.plan is not null
    group by months.activity_month, periods.user_id
),

balanced as (
    select
        activity_month,
        count_if(at_first) as opening,
        count_if(at_first and not at_last) as lost,
        count_if(at_last and not at_first) as gained,
        count_if(at_last) as closing
    from subscribed
    group by activity_month
),

gone as (
    select
        date_trunc('month', since)::date as activity_month,
        count(distinct case when movement = 'cancelled' then user_id end) as cancelled,
        count(distinct case when movement = 'downgraded' then user_id end) as downgraded
    from periods
    where plan is null
    group by activity_month
)

select
    months.activity_month,
    coalesce(balanced.opening, 0) as opening,
    coalesce(balanced.lost, 0) as lost,
    coalesce(balanced.gained, 0) as gained,
    coalesce(balanced.closing, 0) as closing,
    coalesce(gone.cancelled, 0) as cancelled,
    coalesce(gone.downgraded, 0) as downgraded,
    case
        when last_dates.is_complete and months.month_number > 1 and balanced.opening > 0
            then balanced.lost::float / balanced.opening
    end as churn_rate,
    coalesce(last_dates.is_complete, false) as is_complete
from months
left join {{ ref('dim_dates') }} as last_dates on months.last_date = last_dates.activity_date
left join balanced on months.activity_month = balanced.activity_month
left join gone on months.activity_month = gone.activity_month
