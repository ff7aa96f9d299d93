{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['sessions'], 'date': 'session_start::date'},
    cluster_by=['session_start']
) }}
{%- set window = open_window() %}

select
    session_key,
    user_id,
    session_id,
    session_start,
    session_end,
    listens::number(38, 0) as songs,
    seconds,
    coalesce(last_level, 'Unknown') as level
from {{ ref('sessions') }}
where listens > 0 and {{ on_dates('session_start::date', dates_to_build(window)) }}
