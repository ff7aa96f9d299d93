-- A session: a run of one visitor's events under one session number, without a pause of 30 minutes or more. Chained from its
-- parts in session_dates. A late event can join two sessions, so those near touched dates are rebuilt from all their parts.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_sessions',
    cluster_by=['session_start'],
    pre_hook="{{ note_everything('sessions') }}"
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}
{%- set dates = touched_dates(window) %}

with parts as (
    {% if dates is none %}
    select * from {{ ref('session_dates') }}
    {% else %}
    select parts.*
    from {{ ref('session_dates') }} as parts
    inner join ({{ changed_events(['visitor', 'session_id'], window) }}) as changed
        on parts.visitor = changed.visitor and parts.session_id = changed.session_id
    where {{ on_dates('parts.activity_date', dates) }}
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

spaced as (
    select *, lag(part_end) over (partition by visitor, session_id order by part_start) as part_end_before from parts
),

chained as (
    select
        *,
        sum(case when {{ opens_a_session('part_end_before', 'part_start') }} then 1 else 0 end) over (
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
    max(part_end) as session_end,
    sum(events) as events,
    sum(page_views) as page_views,
    sum(listens) as listens,
    sum(seconds)::number(38, 6) as seconds,
    max(case when from_the_end = 1 then last_level end) as last_level
from ranked
group by visitor, session_id, session_number
