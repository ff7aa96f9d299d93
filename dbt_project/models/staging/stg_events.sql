-- An event whose clock is wrong counts at the time of its record.
with timed as (
    select
        *,
        coalesce(
            event_time > dateadd('minute', {{ var('clock_ahead_minutes') }}, kafka_timestamp)
            or event_time < dateadd('day', -{{ var('clock_behind_days') }}, kafka_timestamp),
            false
        ) as is_clock_suspect
    from {{ source('raw', 'events') }}
)

select
    event_id,
    event_kind,
    case when is_clock_suspect then kafka_timestamp else event_time end as event_time,
    (case when is_clock_suspect then kafka_timestamp else event_time end)::date as activity_date,
    date_trunc('hour', case when is_clock_suspect then kafka_timestamp else event_time end) as activity_hour,
    event_time as client_time,
    is_clock_suspect,
    schema_version,
    session_id,
    item_in_session,
    user_id,
    level,
    user_agent,
    city,
    state,
    zip,
    lat,
    lon,
    first_name,
    last_name,
    gender,
    to_timestamp_ntz(registration, 3) as registered_at,
    auth,
    page,
    method,
    status,
    artist,
    song,
    duration::number(18, 6) as duration,
    song_id,
    artist_id,
    success,
    device_type,
    device_os,
    connection,  -- noqa: PRS
    listened_seconds,
    {% for field in later_fields() %}
    coalesce({{ field.column }}, try_cast(extra:{{ field.path }}::varchar as {{ field.type }})) as {{ field.column }},
    {% endfor %}
    extra,
    payload,
    payload_base64,
    quarantine_reason,
    redrive_of,
    source,
    kafka_topic,
    kafka_topic_id,
    kafka_partition,
    kafka_offset,
    kafka_timestamp,
    source_file,
    source_line,
    ingested_at,
    batch_id,
    loaded_at
from timed
