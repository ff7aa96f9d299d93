{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'keys': ['user_id'], 'subjects': ['events', 'listens', 'visitors', 'closed']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with actions as (
    select
        activity_date,
        user_id,
        session_id,
        event_time,
        device_type,
        state,
        'listen' as action,
        is_stream,
        heard_seconds,
        duration
    from {{ ref('listens') }}
    where user_id is not null and {{ rows_to_build(window) }}
    union all
    select
        activity_date,
        user_id,
        session_id,
        event_time,
        device_type,
        state,
        page as action,
        false as is_stream,
        null as heard_seconds,
        null as duration
    from {{ ref('page_views') }}
    where
        user_id is not null
        and page in ('Skip', 'Pause', 'Add to Playlist')
        and {{ rows_to_build(window) }}
),

sessions as (
    select * from {{ ref('session_dates') }} where {{ rows_to_build(window) }}
)

select
    actions.activity_date,
    actions.user_id,
    actions.device_type,
    actions.state,
    count_if(actions.action = 'listen') as plays,
    count_if(actions.is_stream) as streams,
    count_if(actions.action = 'Skip') as skips,
    count_if(actions.action = 'Pause') as pauses,
    count_if(actions.action = 'Add to Playlist') as playlist_adds,
    count(distinct sessions.session_id::varchar || '/' || sessions.part::varchar) as sessions,
    coalesce(sum(actions.heard_seconds), 0)::number(38, 6) as heard_seconds,
    coalesce(sum(actions.duration), 0)::number(38, 6) as nominal_seconds,
    dates.is_complete
from actions
inner join {{ ref('dim_dates') }} as dates on actions.activity_date = dates.activity_date
left join sessions
    on
        actions.activity_date = sessions.activity_date
        and actions.user_id = sessions.visitor
        and actions.session_id = sessions.session_id
        and actions.event_time between sessions.part_start and sessions.part_end
group by actions.activity_date, actions.user_id, actions.device_type, actions.state, dates.is_complete
