-- Dates on which each event id has records, so that the search for what a new record displaces is limited to those dates. The
-- id is stored as a number: a lookup reads 8 bytes per past event instead of its text. If two ids have the same number, one
-- date too many is searched, nothing else.
{{ config(
    materialized='windowed',
    incremental_strategy='note_rivals',
    pre_hook="{{ note_everything('rivals') }}"
) }}
{%- set window = open_window() %}

select distinct
    mod(hash(event_id), 4611686018427387904)::number(38, 0) as id_hash,
    activity_date,
    batch_id
from {{ ref('stg_events') }}
where
    quarantine_reason is null
    and batch_id <= {{ window.version | default(0) }}
    {% if is_continued() %} and batch_id > {{ window.since_version | default(0) }} {% endif %}
