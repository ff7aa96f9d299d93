{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'aggregate': true},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

select
    activity_date,
    state,
    city,
    count(*) as plays,
    count(distinct user_id) as users
from {{ ref('listens') }}
where {{ on_dates('activity_date', dates_to_build(window)) }}
group by activity_date, state, city
