-- The wide fact: a row for each listen, with all that is said about it. A view, so it is as fresh as silver.listens.
{{ config(materialized='view', meta={'tier': 'live'}) }}

with listens as (
    select
        *,
        row_number() over (
            partition by activity_date, user_id, song_key, is_stream order by event_time, event_id
        ) as stream_number
    from {{ ref('listens') }}
),

judged as (
    select
        *,
        case
            when heard_seconds is null then 'unknown'
            when not is_stream then 'short'
            when user_id is null then 'no user'
            when stream_number > {{ var('streams_of_a_song_and_day') }} then 'repeated'
        end as ineligible_reason
    from listens
)

select
    judged.event_id,
    judged.event_time as started_at,
    judged.activity_date,
    judged.time_zone,
    hour(convert_timezone('UTC', zones.time_zone, judged.event_time))::number(38, 0) as local_hour,
    judged.user_id,
    judged.session_id,
    sessions.session_key,
    judged.song_key,
    songs.song_title,
    songs.artist_id,
    songs.artist_name,
    songs.genre,
    judged.country,
    judged.state,
    judged.level,
    judged.device_type,
    judged.playback_source as source,
    judged.duration as nominal_seconds,
    judged.heard_seconds,
    judged.heard_is_estimated as is_estimated,
    judged.is_stream,
    judged.ended_by,
    judged.ineligible_reason is null as is_eligible,
    judged.ineligible_reason,
    judged.recorded_at
from judged
left join {{ ref('dim_songs') }} as songs on judged.song_key = songs.song_key
left join {{ ref('time_zones') }} as zones on judged.time_zone = zones.time_zone
left join {{ ref('sessions') }} as sessions
    on
        judged.user_id = sessions.visitor
        and judged.session_id = sessions.session_id
        and judged.event_time between sessions.session_start and sessions.session_end
