-- When each version of the lake table was committed, loaded and built into silver.
{{ config(materialized='view') }}

select
    loads.version,
    loads.files,
    loads.row_count,
    loads.committed_at,
    loads.loaded_at,
    min(builds.built_at) as built_at,
    datediff('millisecond', loads.committed_at, loads.loaded_at)::float / 1000 as load_seconds,
    datediff('millisecond', loads.loaded_at, min(builds.built_at))::float / 1000 as build_seconds
from {{ source('ops', 'loads') }} as loads
left join {{ source('ops', 'builds') }} as builds
    on
        builds.model = 'events'
        and loads.version > builds.since_version
        and loads.version <= builds.version
where loads.table_name = 'RAW.EVENTS'
group by loads.version, loads.files, loads.row_count, loads.committed_at, loads.loaded_at
