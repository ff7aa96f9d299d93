-- How long events took, batch by batch: from the record's production to the lake, to RAW, and to the end of the build after
-- which every live mart first included them. Each batch is measured once, when all live marts have covered it.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_versions',
    full_refresh=false,
    meta={'reference': true, 'tier': 'policy'}
) }}
{%- do open_window() %}
{%- set marts = live_marts() %}
{%- set versions = versions_to_measure(marts) %}

with loads as (
    select version, committed_at, loaded_at
    from {{ source('ops', 'loads') }}
    where table_name = 'RAW.EVENTS' and {{ in_versions('version', versions) }}
),

-- For each mart, the first build that includes the version.
covered as (
    select loads.version, builds.model, min(builds.built_at) as built_at
    from loads
    inner join {{ source('ops', 'builds') }} as builds
        on builds.version >= loads.version and builds.since_version < loads.version
    where builds.model in ('{{ marts | join("', '") }}')
    group by loads.version, builds.model
),

built as (
    select version, max(built_at) as built_at
    from covered
    group by version
    having count(*) = {{ marts | length }}
),

events as (
    select
        batch_id as version,
        kafka_timestamp,
        event_time is not null and datediff('millisecond', event_time, kafka_timestamp) > 3600000 as is_late
    from {{ ref('stg_events') }}
    where source = 'kafka' and {{ in_versions('batch_id', versions) }}
),

timed as (
    select
        events.version,
        loads.committed_at,
        loads.loaded_at,
        built.built_at,
        events.is_late,
        case when not events.is_late
            then datediff('millisecond', events.kafka_timestamp, loads.committed_at)::float / 1000 end as lake_seconds,
        case when not events.is_late
            then datediff('millisecond', events.kafka_timestamp, loads.loaded_at)::float / 1000 end as raw_seconds,
        case when not events.is_late
            then datediff('millisecond', events.kafka_timestamp, built.built_at)::float / 1000 end as marts_seconds
    from events
    inner join loads on events.version = loads.version
    inner join built on events.version = built.version
)

select
    version,
    committed_at,
    loaded_at,
    built_at,
    count_if(not is_late) as events,
    count_if(is_late) as late_events,
    median(lake_seconds)::float as lake_seconds_p50,
    (percentile_cont(0.95) within group (order by lake_seconds))::float as lake_seconds_p95,
    median(raw_seconds)::float as raw_seconds_p50,
    (percentile_cont(0.95) within group (order by raw_seconds))::float as raw_seconds_p95,
    median(marts_seconds)::float as marts_seconds_p50,
    (percentile_cont(0.95) within group (order by marts_seconds))::float as marts_seconds_p95
from timed
group by version, committed_at, loaded_at, built_at
