{{ config(
    materialized='incremental',
    incremental_strategy='replace_users',
    meta={'tier': 'policy'}
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with counted as (
    select user_id, sum(plays) as plays, sum(days_active) as days_active
    from {{ ref('user_weeks') }}
    {% if touched_dates(window) is not none %}
    where user_id in ({{ changed_events(['user_id'], window) }})
    {% endif %}
    group by user_id
)

select
    user_id,
    plays::number(38, 0) as plays,
    days_active::number(38, 0) as days_active,
    case when plays >= 1000 then 'heavy' when plays >= 100 then 'regular' else 'light' end as tier
from counted
