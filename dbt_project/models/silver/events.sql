-- One row for each event_id among the valid records: the earliest record wins. It may arrive in a later batch.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_events',
    meta={'subjects': ['rivals']},
    cluster_by=['activity_date'],
    pre_hook="{{ note_everything('events') }}"
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('event_dates') }}
{%- set rebuilt = rebuild_dates() %}
{%- set position = 'event_id, source, kafka_timestamp, kafka_topic, kafka_partition, kafka_offset, source_file, source_line' %}

with arrived as (
    select * exclude (quarantine_reason, payload, payload_base64, ingested_at, loaded_at)
    from {{ ref('stg_events') }}
    where
        quarantine_reason is null
        and batch_id <= {{ window.version | default(0) }}
        {% if is_continued() %}
        and (
            batch_id > {{ window.since_version | default(0) }}
            {% if rebuilt %}
            or event_id in (
                select event_id from {{ ref('stg_events') }}
                where quarantine_reason is null and {{ on_dates('activity_date', rebuilt) }}
            )
            {% endif %}
        )
        {% endif %}
    qualify row_number() over (partition by event_id order by {{ arrival_order() }}) = 1
){% if is_continued() %},

rivals as (
    select {{ position }}, true as has_arrived from arrived
    union all
    select {{ position }}, false as has_arrived
    from {{ this }}
    where
        {{ on_dates('activity_date', touched_dates(window, ['rivals'])) }}
        and event_id in (select event_id from arrived)
),

winners as (
    select event_id, has_arrived from rivals
    qualify row_number() over (partition by event_id order by {{ arrival_order() }}, has_arrived desc) = 1
)

select arrived.*
from arrived
inner join winners on arrived.event_id = winners.event_id
where winners.has_arrived
{% else %}

select * from arrived
{% endif %}
