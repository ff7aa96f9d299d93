-- In which weeks a user listened.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    cluster_by=['activity_week'],
    meta={'tier': 'policy', 'date': 'activity_week', 'period': 'week'}
) }}
{%- set window = open_window() %}

select distinct
    user_id,
    dateadd('day', 1 - dayofweekiso(activity_date), activity_date)::date as activity_week
from {{ ref('listens') }}
where {{ on_dates('activity_date', dates_of('week', dates_to_build(window))) }}
