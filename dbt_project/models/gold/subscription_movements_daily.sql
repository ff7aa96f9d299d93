{{ config(
    materialized='incremental',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['activity_date', 'plan', 'country']
) }}
{%- set window = open_window() %}

with moves as (
    select activity_date, plan, country, movement, 1 as change
    from {{ ref('subscriptions') }}
    where plan is not null
    union all
    select activity_date, plan_before, country_before, movement, -1 as change
    from {{ ref('subscriptions') }}
    where plan_before is not null
),

counted as (
    select
        activity_date,
        plan,
        country,
        count_if(movement = 'first_seen') as first_seen,
        count_if(movement = 'new') as new,
        count_if(movement = 'reactivated') as reactivated,
        count_if(movement = 'moved' and change > 0) as moved_in,
        count_if(movement = 'moved' and change < 0) as moved_out,
        count_if(movement = 'downgraded') as downgraded,
        count_if(movement = 'cancelled') as cancelled,
        sum(change) as net
    from moves
    group by activity_date, plan, country
),

cells as (
    select plan, country, min(activity_date) as first_date from counted group by plan, country
),

-- Every date of the spine, and those before it on which something moved, so that the balance is carried into the spine.
cell_dates as (
    select dates.activity_date, cells.plan, cells.country, dates.is_in_spine, dates.is_complete
    from cells
    inner join {{ ref('dim_dates') }} as dates on dates.activity_date >= cells.first_date
),

balanced as (
    select
        cell_dates.*,
        counted.first_seen,
        counted.new,
        counted.reactivated,
        counted.moved_in,
        counted.moved_out,
        counted.downgraded,
        counted.cancelled,
        coalesce(sum(counted.net) over (
            partition by cell_dates.plan, cell_dates.country order by cell_dates.activity_date
            rows between unbounded preceding and 1 preceding
        ), 0) as opening,
        coalesce(sum(counted.net) over (
            partition by cell_dates.plan, cell_dates.country order by cell_dates.activity_date
            rows between unbounded preceding and current row
        ), 0) as closing
    from cell_dates
    left join counted
        on
            cell_dates.activity_date = counted.activity_date
            and cell_dates.plan = counted.plan
            and cell_dates.country = counted.country
)

select
    activity_date,
    plan,
    country,
    opening::number(38, 0) as opening,
    coalesce(first_seen, 0) as first_seen,
    coalesce(new, 0) as new,
    coalesce(reactivated, 0) as reactivated,
    coalesce(moved_in, 0) as moved_in,
    coalesce(moved_out, 0) as moved_out,
    coalesce(downgraded, 0) as downgraded,
    coalesce(cancelled, 0) as cancelled,
    closing::number(38, 0) as closing,
    is_complete
from balanced
where is_in_spine
