-- On which dates the records of an id stand, so that what a new record displaces is looked for on those dates only. The id is
-- kept as a number: a look-up reads 8 bytes for each event of the history, not its text. Two ids with one number cost a
-- look at a date too many, nothing else.
{{ config(
    materialized='incremental',
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
    {% if is_incremental() %} and batch_id > {{ window.since_version | default(0) }} {% endif %}
