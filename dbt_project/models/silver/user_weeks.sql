-- Weeks in which a user listened, how much, and on which dates.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    cluster_by=['activity_week'],
    meta={'tier': 'policy', 'date': 'activity_week', 'period': 'week'}
) }}
{%- set window = open_window() %}

select
    user_id,
    dateadd('day', 1 - dayofweekiso(activity_date), activity_date)::date as activity_week,
    count(*) as plays,
    count(distinct activity_date) as days_active,
    {% for day in range(1, 8) %}
    max(case when dayofweekiso(activity_date) = {{ day }} then '1' else '0' end){{ ' ||' if not loop.last }}
    {%- endfor %} as active_dates
from {{ ref('listens') }}
where {{ on_dates('activity_date', dates_of('week', dates_to_build(window))) }}
group by user_id, activity_week
