-- One row for each listen, with its song, device and place.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_rows',
    meta={'subjects': ['events', 'songs']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}
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
    select event_id, song_key, listened_seconds
    from {{ this }}
    where
        {{ on_dates('activity_date', all_dates) }}
        and (
            session_id in (select session_id from changed_sessions)
            or {{ on_dates('activity_date', dates_of_songs) }}
        )
),

{% endif %}
-- Listens, and the page views that say how they ended. `next_songs` is the number of the song within the session number,
-- counted by the NextSong page views that start a song. A NextSong itself belongs to the song that it ends.
played as (
    select
        event_id,
        session_id,
        event_time,
        item_in_session,
        event_kind,
        case when event_kind = 'page_view' then listened_seconds end as listened_seconds,
        sum(case when page = 'NextSong' then 1 else 0 end) over (
            partition by session_id order by event_time, item_in_session
            range between unbounded preceding and current row
        ) as next_songs,
        sum(case when page = 'NextSong' then 1 else 0 end) over (
            partition by session_id, event_time, item_in_session
        ) as next_songs_here
    from {{ ref('events') }}
    where
        session_id is not null
        and event_kind in ('listen', 'page_view')
        {% if dates is not none %}
        and {{ on_dates('activity_date', all_dates) }}
        and session_id in (select session_id from changed_sessions)
        {% endif %}
),

ended as (
    select
        event_id,
        event_kind,
        lead(listened_seconds) ignore nulls over (
            partition by session_id, next_songs - case when event_kind = 'listen' then 0 else next_songs_here end
            order by event_time, item_in_session, case when event_kind = 'page_view' then 0 else 1 end
        ) as listened_seconds
    from played
)

select
    {{ who_and_where() }},
    {{ song_key() }} as song_key,
    events.artist,
    events.song,
    events.duration,
    {% if dates is none %}
    ended.listened_seconds,
    {% else %}
    case when changed_sessions.session_id is null then standing.listened_seconds else ended.listened_seconds end
        as listened_seconds,
    {% endif %}
    events.batch_id
from {{ ref('events') }} as events
left join {{ ref('song_names') }} as names on {{ on_names() }}
left join {{ ref('user_agents') }} as agents on events.user_agent = agents.user_agent
left join ended on events.event_id = ended.event_id and ended.event_kind = 'listen'
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
        or ({{ on_dates('events.activity_date', dates_of_songs) }} and not equal_null({{ song_key() }}, standing.song_key))
        or (changed_sessions.session_id is not null and not equal_null(ended.listened_seconds, standing.listened_seconds))
    )
    {% endif %}
