-- A row for each user, a character for each date. Daily, weekly and monthly active users and retention follow from it.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_users',
    meta={'tier': 'policy'}
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with weeks as (
    select *
    from {{ ref('user_weeks') }}
    {% if touched_dates(window) is not none %}
    where user_id in ({{ changed_events(['user_id'], window) }})
    {% endif %}
),

days as (
    select weeks.user_id, dateadd('day', numbers.n, weeks.activity_week)::date as activity_date
    from weeks
    inner join ({{ numbers_below(7) }}) as numbers on substr(weeks.active_dates, numbers.n + 1, 1) = '1'
),

spaced as (
    select
        user_id,
        activity_date,
        datediff('day', lag(activity_date) over (partition by user_id order by activity_date), activity_date) - 1 as pause
    from days
),

written as (
    select
        user_id,
        min(activity_date) as first_active_on,
        max(activity_date) as last_active_on,
        listagg(repeat('0', coalesce(pause, 0)) || '1', '') within group (order by activity_date) as active_dates
    from spaced
    group by user_id
),

counted as (
    select user_id, sum(days_active) as days_active, sum(plays) as plays
    from weeks
    group by user_id
),

registered as (
    select user_id, min(registered_at)::date as registered_on from {{ ref('dim_users') }} group by user_id
)

select
    written.user_id,
    registered.registered_on,
    written.first_active_on,
    written.last_active_on,
    written.active_dates,
    counted.days_active::number(38, 0) as days_active,
    counted.plays::number(38, 0) as plays
from written
inner join counted on written.user_id = counted.user_id
left join registered on written.user_id = registered.user_id
