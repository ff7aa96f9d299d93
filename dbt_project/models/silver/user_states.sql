-- User attributes that events carry, reduced for each user and date to the first event, the events that differ from the one
-- before, the level changes, the cancellations and the events after them. dim_users and subscriptions build a user's history
-- from these without reading all events.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'keys': ['user_id']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}
{%- set said = 'level, city, state, zip, first_name, last_name, gender, registered_at::varchar, country' %}

with stated as (
    select
        activity_date,
        user_id,
        event_time,
        session_id,
        item_in_session,
        event_kind,
        event_id,
        case when event_kind = 'status_change' then {{ level_after() }} end as level_after,
        coalesce(event_kind = 'page_view' and page = 'Cancellation Confirmation', false) as cancels,
        country,
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
        lag(said) over (partition by activity_date, user_id order by {{ state_order() }}) as said_before,
        coalesce(lag(cancels) over (partition by activity_date, user_id order by {{ state_order() }}), false)
            as cancelled_before
    from stated
)

select * exclude (said_before, cancelled_before)
from compared
where
    said_before is null
    or said <> said_before
    or event_kind = 'status_change'
    or cancels
    or cancelled_before
