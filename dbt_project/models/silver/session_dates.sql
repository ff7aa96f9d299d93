-- The part of a session that falls on one date. It depends only on the events of that date, and on whose the session number
-- is. `plays_until` is when the song ends that its last event leaves playing, or when the last song was ended; NULL if no
-- event of the date up to there starts or ends one.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'keys': ['session_id'], 'subjects': ['events', 'visitors']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

with owned as (
    select
        events.* exclude (user_id),
        events.user_id as own_user_id,
        coalesce(events.user_id, owners.user_id) as user_id,
        {{ visitor() }} as visitor
    from (
        select * from {{ ref('events') }} where session_id is not null and {{ rows_to_build(window) }}
    ) as events
    left join {{ ref('session_users') }} as owners on events.session_id = owners.session_id
),

played as (
    select
        *,
        last_value({{ plays_until() }}) ignore nulls over (
            partition by activity_date, visitor, session_id order by {{ event_order() }}
            rows between unbounded preceding and current row
        ) as plays_until
    from owned
),

spaced as (
    select
        activity_date,
        visitor,
        session_id,
        user_id,
        event_time,
        event_kind,
        page,
        case when event_kind = 'page_view' and auth = 'Guest' and own_user_id is null then event_time end as guest_view_at,
        level,
        plays_until,
        lag(greatest(event_time, coalesce(plays_until, event_time))) over (
            partition by activity_date, visitor, session_id order by {{ event_order() }}
        ) as busy_until_before,
        row_number() over (partition by activity_date, visitor, session_id order by {{ event_order() }}) as event_number
    from played
),

parted as (
    select
        *,
        sum(case when {{ opens_a_session('busy_until_before', 'event_time') }} then 1 else 0 end) over (
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
    min(guest_view_at) as first_guest_view_at,
    max(case when event_kind = 'page_view' and page = 'Submit Registration' then event_time end) as last_registration_at,
    max(case when from_the_end = 1 then plays_until end) as plays_until,
    max(case when from_the_end = 1 then level end) as last_level
from ranked
group by activity_date, visitor, session_id, part
