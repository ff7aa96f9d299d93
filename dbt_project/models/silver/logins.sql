-- One row for each login attempt.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

select
    event_id,
    event_time,
    activity_date,
    user_id,
    session_id,
    item_in_session,
    level,
    success,
    batch_id
from {{ ref('events') }}
where event_kind = 'auth' and {{ on_dates('activity_date', dates_to_build(window)) }}
