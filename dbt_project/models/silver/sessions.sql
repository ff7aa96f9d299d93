-- A session: a run of one visitor's events under one session number, without 30 minutes in which nothing happens or plays.
-- Chained from its parts in session_dates. A late event can join two sessions, so those near touched dates are rebuilt from
-- all their parts.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_sessions',
    cluster_by=['session_start'],
    pre_hook="{{ note_everything('sessions') }}"
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}
{%- set dates = touched_dates(window, session_subjects()) %}

with parts as (
    {% if dates is none %}
    select * from {{ ref('session_dates') }}
    {% else %}
    select parts.*
    from {{ ref('session_dates') }} as parts
    where
        {{ on_dates('parts.activity_date', dates) }}
        and parts.session_id in ({{ changed_events(['session_id'], window) }})
    union
    select parts.*
    from {{ ref('session_dates') }} as parts
    inner join (select * from {{ this }} where {{ reached_sessions(window) }}) as reached
        on
            parts.visitor = reached.visitor
            and parts.session_id = reached.session_id
            and parts.part_start >= reached.session_start
            and parts.part_end <= reached.session_end
    where {{ on_dates('parts.activity_date', dates_of_reached_sessions(window)) }}
    {% endif %}
),

played as (
    select
        *,
        greatest(part_end, coalesce(last_value(plays_until) ignore nulls over (
            partition by visitor, session_id order by part_start rows between unbounded preceding and current row
        ), part_end)) as busy_until
    from parts
),

spaced as (
    select *, lag(busy_until) over (partition by visitor, session_id order by part_start) as busy_until_before from played
),

chained as (
    select
        *,
        sum(case when {{ opens_a_session('busy_until_before', 'part_start') }} then 1 else 0 end) over (
            partition by visitor, session_id order by part_start rows between unbounded preceding and current row
        ) as session_number
    from spaced
),

ranked as (
    select
        *,
        row_number() over (partition by visitor, session_id, session_number order by part_start desc) as from_the_end
    from chained
)

select
    visitor || '/' || session_id::varchar || '/' || date_part('epoch_millisecond', min(part_start))::varchar as session_key,
    visitor,
    session_id,
    max(user_id) as user_id,
    min(part_start) as session_start,
    max(case when from_the_end = 1 then busy_until end) as session_end,
    sum(events) as events,
    sum(page_views) as page_views,
    sum(listens) as listens,
    min(first_guest_view_at) as first_guest_view_at,
    max(last_registration_at) as last_registration_at,
    max(case when from_the_end = 1 then last_level end) as last_level
from ranked
group by visitor, session_id, session_number
