{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'listens']}
) }}
{%- set window = open_window() %}

select
    activity_date,
    gender,
    level,
    state,
    count(distinct user_id) as users,
    count(*) as plays,
    count_if(is_stream) as streams
from {{ ref('listens') }}
where {{ on_dates('activity_date', dates_to_build(window)) }}
group by activity_date, gender, level, state
