{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'spine': true, 'after': range(30) | list}
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with spine as (
    select activity_date from {{ ref('dim_dates') }} where is_in_spine and {{ on_dates('activity_date', dates) }}
),

user_dates as (
    select distinct activity_date, user_id
    from {{ ref('user_engagement_daily') }}
    where plays > 0 and {{ on_dates('activity_date', shifted(dates, range(-29, 1))) }}
),

counted as (
    select
        spine.activity_date,
        count(distinct case when user_dates.activity_date = spine.activity_date then user_dates.user_id end)
            as daily_active_users,
        count(distinct case when user_dates.activity_date > dateadd('day', -7, spine.activity_date)
            then user_dates.user_id end) as active_users_7d,
        count(distinct user_dates.user_id) as active_users_30d
    from spine
    left join user_dates
        on
            user_dates.activity_date > dateadd('day', -30, spine.activity_date)
            and user_dates.activity_date <= spine.activity_date
    group by spine.activity_date
)

select
    activity_date,
    daily_active_users,
    active_users_7d,
    active_users_30d,
    case when active_users_30d > 0 then daily_active_users::float / active_users_30d end as stickiness
from counted
