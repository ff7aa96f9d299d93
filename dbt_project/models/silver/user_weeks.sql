-- Weeks in which a user listened, and how much.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    cluster_by=['activity_week'],
    meta={'tier': 'policy', 'date': 'activity_week', 'period': 'week'}
) }}
{%- set window = open_window() %}

select
    user_id,
    dateadd('day', 1 - dayofweekiso(activity_date), activity_date)::date as activity_week,
    count(*) as plays,
    count(distinct activity_date) as days_active
from {{ ref('listens') }}
where {{ on_dates('activity_date', dates_of('week', dates_to_build(window))) }}
group by user_id, activity_week
