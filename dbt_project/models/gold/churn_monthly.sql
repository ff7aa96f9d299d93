{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'spine': true, 'subjects': ['events', 'closed'], 'after': [0, 28, 31], 'period': 'month', 'date': 'activity_month'}
) }}
{%- set window = open_window() %}
{%- set months = dates_to_build(window) %}
{%- set dates = dates_of('month', months) %}
{%- set earlier_dates = dates_of('month', months_before(months)) %}

with months as (
    select distinct month_start as activity_month
    from {{ ref('dim_dates') }}
    where is_in_spine and {{ on_dates('month_start', months) }}
),

cancelled as (
    select date_trunc('month', activity_date)::date as activity_month, count(distinct user_id) as users
    from {{ ref('page_views') }}
    where page = 'Cancellation Confirmation' and {{ on_dates('activity_date', dates) }}
    group by 1
),

downgraded as (
    select date_trunc('month', activity_date)::date as activity_month, count(distinct user_id) as users
    from {{ ref('level_changes') }}
    where level_before = 'paid' and {{ on_dates('activity_date', dates) }}
    group by 1
),

active as (
    select date_trunc('month', activity_date)::date as activity_month, count(distinct user_id) as users
    from {{ ref('user_engagement_daily') }}
    where plays > 0 and {{ on_dates('activity_date', earlier_dates) }}
    group by 1
)

select
    months.activity_month,
    coalesce(cancelled.users, 0) as cancelled,
    coalesce(downgraded.users, 0) as downgraded,
    coalesce(active.users, 0) as active_users_previous_month,
    case when last_dates.is_complete and active.users > 0 then coalesce(cancelled.users, 0)::float / active.users end
        as churn_rate,
    coalesce(last_dates.is_complete, false) as is_complete
from months
left join {{ ref('dim_dates') }} as last_dates
    on {{ last_date_of('month', 'months.activity_month') }} = last_dates.activity_date
left join cancelled on months.activity_month = cancelled.activity_month
left join downgraded on months.activity_month = downgraded.activity_month
left join active on dateadd('month', -1, months.activity_month)::date = active.activity_month
