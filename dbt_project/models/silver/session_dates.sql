-- The part of a session that falls on one date. It depends only on the events of that date.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'keys': ['visitor', 'session_id']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

with spaced as (
    select
        activity_date,
        visitor,
        session_id,
        user_id,
        event_time,
        event_kind,
        level,
        duration,
        lag(event_time) over (partition by activity_date, visitor, session_id order by event_time) as event_time_before,
        row_number() over (partition by activity_date, visitor, session_id order by {{ event_order() }}) as event_number
    from {{ ref('events') }}
    where session_id is not null and {{ rows_to_build(window) }}
),

parted as (
    select
        *,
        sum(case when {{ opens_a_session('event_time_before', 'event_time') }} then 1 else 0 end) over (
            partition by activity_date, visitor, session_id order by event_number
            rows between unbounded preceding and current row
        ) as part
    from spaced
),

ranked as (
    select
        *,
        row_number() over (partition by activity_date, visitor, session_id, part order by event_number desc) as from_the_end
    from parted
)

select
    activity_date,
    visitor,
    session_id,
    part,
    max(user_id) as user_id,
    min(event_time) as part_start,
    max(event_time) as part_end,
    count(*) as events,
    count_if(event_kind = 'page_view') as page_views,
    count_if(event_kind = 'listen') as listens,
    coalesce(sum(case when event_kind = 'listen' then duration end), 0)::number(38, 6) as seconds,
    max(case when from_the_end = 1 then level end) as last_level
from ranked
group by activity_date, visitor, session_id, part
