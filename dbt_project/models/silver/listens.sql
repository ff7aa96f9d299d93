-- One row for each listen, with its song, device and place, how much of the song was heard and what ended it.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_rows',
    meta={'subjects': ['events', 'songs'], 'notes': 'listens'},
    cluster_by=['activity_date'],
    pre_hook="{{ note_everything('listens') }}"
) }}
{%- set window = open_window() %}
{%- set following = 'over (partition by session_id order by event_time, item_in_session)' %}
{%- set dates = dates_of_events(window) %}
{%- set dates_of_songs = touched_dates(window, ['songs']) %}
{%- set all_dates = dates if dates is none
    else (dates + dates_of_songs + dates_of_changed_sessions(window)) | unique | sort %}
-- depends_on: {{ ref('sessions') }}

with {% if dates is not none %} changed_sessions as (
    {{ changed_events(['session_id'], window) }}
),

-- Existing rows that may have to change, with their current values.
standing as (
    select event_id, song_key, heard_seconds, heard_is_estimated, ended_by
    from {{ this }}
    where
        {{ on_dates('activity_date', all_dates) }}
        and (
            session_id in (select session_id from changed_sessions)
            or {{ on_dates('activity_date', dates_of_songs) }}
        )
),

{% endif %}
-- Where a song starts, ends, pauses or resumes within a session number. A listen and its NextSong are one start.
marks as (
    select
        session_id,
        event_time,
        item_in_session,
        boolor_agg({{ starts_a_song() }}) as starts,
        max(case when {{ ends_a_song('page') }} and event_kind = 'page_view' then page end) as ending_page,
        boolor_agg(coalesce(page = 'Pause' and event_kind = 'page_view', false)) as pauses,
        max(case when page in ('Skip', 'Playback End') and event_kind = 'page_view' then song_id end) as ended_song_id,
        max(case
            when {{ starts_a_song() }} or (event_kind = 'page_view' and {{ ends_a_song('page') }}) then listened_seconds
        end) as listened_seconds
    from {{ ref('events') }}
    where
        session_id is not null
        and (
            event_kind = 'listen'
            or (
                event_kind = 'page_view'
                and page in ('NextSong', 'Skip', 'Logout', 'Cancel', 'Playback End', 'Pause', 'Resume')
            )
        )
        {% if dates is not none %}
        and {{ on_dates('activity_date', all_dates) }}
        and session_id in (select session_id from changed_sessions)
        {% endif %}
    group by session_id, event_time, item_in_session
),

-- A pause lasts until the next mark.
timed as (
    select
        *,
        case when pauses and not starts and ending_page is null then coalesce(datediff(
            'millisecond', event_time,
            lead(event_time) over (partition by session_id order by event_time, item_in_session)
        ), 0) else 0 end as paused_ms
    from marks
),

summed as (
    select
        *,
        coalesce(sum(paused_ms) over (
            partition by session_id order by event_time, item_in_session rows between unbounded preceding and 1 preceding
        ), 0) as paused_ms_before
    from timed
),

ended as (
    select
        session_id,
        event_time,
        item_in_session,
        starts,
        case
            when lead(starts) {{ following }} then 'next'
            when lead(ending_page) {{ following }} = 'Skip' then 'skip'
            when lead(ending_page) {{ following }} in ('Logout', 'Cancel') then 'logout'
            when lead(ending_page) {{ following }} = 'Playback End' then 'end'
            else 'unknown'
        end as ended_by,
        lead(listened_seconds) {{ following }}::number(18, 6) as listened_seconds,
        lead(ended_song_id) {{ following }} as ended_song_id,
        (
            datediff('millisecond', event_time, lead(event_time) {{ following }})
            - (lead(paused_ms_before) {{ following }} - paused_ms_before)
        )::number(24, 6) / 1000 as played_seconds
    from summed
    where starts or ending_page is not null
),

-- A page that names another song ends this one, but its seconds are not this song's.
heard as (
    select
        events.event_id,
        coalesce(ended.ended_by, 'unknown') as ended_by,
        case
            when ended.ended_song_id is null or events.song_id is null or ended.ended_song_id = events.song_id
                then ended.listened_seconds
        end as listened_seconds,
        coalesce(least(ended.played_seconds, events.duration), events.duration) as estimated_seconds
    from {{ ref('events') }} as events
    left join ended
        on
            ended.starts
            and events.session_id = ended.session_id
            and events.event_time = ended.event_time
            and equal_null(events.item_in_session, ended.item_in_session)
    where events.event_kind = 'listen' and {{ on_dates('events.activity_date', all_dates) }}
),

known as (
    select
        event_id,
        ended_by,
        listened_seconds is null as heard_is_estimated,
        coalesce(listened_seconds, estimated_seconds)::number(18, 6) as heard_seconds
    from heard
),

listens as (
    select
        {{ who_and_where() }},
        {{ song_key() }} as song_key,
        events.artist,
        events.song,
        events.duration,
        {% if dates is none %}
        known.heard_seconds,
        known.heard_is_estimated,
        known.ended_by,
        {% else %}
        {% for column in ['heard_seconds', 'heard_is_estimated', 'ended_by'] %}
        case
            when
                standing.event_id is not null
                and changed_sessions.session_id is null
                and not ({{ on_dates('events.activity_date', dates) }} and {{ arrived_in('events.', window) }})
                then standing.{{ column }}
            else known.{{ column }}
        end as {{ column }},
        {% endfor %}
        {% endif %}
        coalesce(events.playback_source, 'Unknown') as playback_source,
        events.time_zone,
        coalesce(events.kafka_timestamp, events.event_time) as recorded_at,
        events.batch_id
    from {{ ref('events') }} as events
    left join {{ ref('song_names') }} as names on {{ on_names() }}
    left join {{ ref('user_agents') }} as agents on events.user_agent = agents.user_agent
    left join known on events.event_id = known.event_id
    {% if dates is not none %}
    left join changed_sessions on events.session_id = changed_sessions.session_id
    left join standing on events.event_id = standing.event_id
    {% endif %}
    where
        events.event_kind = 'listen'
        {% if dates is not none %}
        and {{ on_dates('events.activity_date', all_dates) }}
        and (
            ({{ on_dates('events.activity_date', dates) }} and {{ arrived_in('events.', window) }})
            or (
                {{ on_dates('events.activity_date', dates_of_songs) }}
                and not equal_null({{ song_key() }}, standing.song_key)
            )
            or (
                changed_sessions.session_id is not null
                and not (
                    equal_null(known.heard_seconds, standing.heard_seconds)
                    and equal_null(known.heard_is_estimated, standing.heard_is_estimated)
                    and equal_null(known.ended_by, standing.ended_by)
                )
            )
        )
        {% endif %}
)

select
    * exclude (batch_id),
    coalesce(heard_seconds >= {{ var('stream_seconds') }}, false) as is_stream,
    batch_id
from listens
