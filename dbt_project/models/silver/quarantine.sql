-- Records that break the contract, with their original data. `redriven_at` is when a record was first sent again.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_records'
) }}
{%- set window = open_window() %}
{%- set columns = [
    'record_id', 'event_kind', 'source', 'kafka_topic', 'kafka_topic_id', 'kafka_partition', 'kafka_offset',
    'kafka_timestamp', 'source_file', 'source_line', 'quarantine_reason', 'payload', 'payload_base64', 'redrive_of',
    'ingested_at', 'loaded_at', 'batch_id',
] %}

with arrived as (
    select
        *,
        coalesce(
            kafka_topic_id || '/' || kafka_partition::varchar || '/' || kafka_offset::varchar,
            source_file || ':' || source_line::varchar
        ) as record_id
    from {{ ref('stg_events') }}
    where
        (quarantine_reason is not null or redrive_of is not null)
        and batch_id <= {{ window.version | default(0) }}
        {% if is_continued() %} and batch_id > {{ window.since_version | default(0) }} {% endif %}
),

redriven as (
    select redrive_of as record_id, min(kafka_timestamp) as redriven_at
    from arrived
    where redrive_of is not null
    group by redrive_of
),

standing as (
    select {{ columns | join(', ') }}, null::timestamp_ntz as redriven_before
    from arrived
    where quarantine_reason is not null
    {% if is_continued() %}
    union all
    select {{ columns | join(', ') }}, redriven_at as redriven_before
    from {{ this }}
    where
        record_id in (select record_id from redriven)
        and (batch_id <= {{ window.since_version | default(0) }} or batch_id > {{ window.version | default(0) }})
    {% endif %}
)

select
    standing.{{ columns | join(', standing.') }},
    coalesce(
        least(standing.redriven_before, redriven.redriven_at), standing.redriven_before, redriven.redriven_at
    ) as redriven_at
from standing
left join redriven on standing.record_id = redriven.record_id
