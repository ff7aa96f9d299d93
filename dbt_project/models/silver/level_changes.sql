-- One row for each change of a user's level. Of several at the same instant, the last one opens the row in dim_users.
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
    level as level_before,
    coalesce({{ level_after() }}, 'Unknown') as level_after,
    batch_id
from {{ ref('events') }}
where event_kind = 'status_change' and {{ on_dates('activity_date', dates_to_build(window)) }}
