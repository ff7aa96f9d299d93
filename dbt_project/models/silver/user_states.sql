-- User attributes that events carry, reduced for each user and date to the first event, the events that differ from the one
-- before, and the level changes. dim_users builds a user's history from these without reading all events.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'keys': ['user_id']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}
{%- set said = 'level, city, state, zip, first_name, last_name, gender, registered_at::varchar' %}

with stated as (
    select
        activity_date,
        user_id,
        event_time,
        session_id,
        item_in_session,
        event_kind,
        event_id,
        level,
        city,
        state,
        zip,
        first_name,
        last_name,
        gender,
        registered_at,
        sha2(to_json(array_construct({{ said }})), 256) as said
    from {{ ref('events') }}
    where user_id is not null and {{ rows_to_build(window) }}
),

compared as (
    select
        *,
        lag(said) over (
            partition by activity_date, user_id order by event_time, session_id, item_in_session, event_kind, event_id
        ) as said_before
    from stated
)

select * exclude (said_before)
from compared
where said_before is null or said <> said_before or event_kind = 'status_change'
