-- Quarantined records by arrival date, topic and reason.
{{ config(materialized='view') }}

select
    ingested_at::date as ingested_date,
    kafka_topic,
    event_kind,
    quarantine_reason,
    count(*) as records,
    count_if(redriven_at is not null) as redriven,
    count_if(redriven_at is null) as still_open,
    min(kafka_timestamp) as first_produced_at,
    max(kafka_timestamp) as last_produced_at
from {{ ref('quarantine') }}
group by ingested_at::date, kafka_topic, event_kind, quarantine_reason
