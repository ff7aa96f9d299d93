-- What changed a date after it was complete: the plays that were recorded on each later date. A corrected catalogue moves
-- plays between songs, never between dates.
{{ config(materialized='view') }}

with recorded as (
    select
        activity_date,
        recorded_at::date as recorded_on,
        count(*) as plays,
        count_if(is_stream) as streams
    from {{ ref('listens') }}
    group by activity_date, recorded_on
),

summed as (
    select
        activity_date,
        recorded_on,
        plays,
        streams,
        sum(plays) over (
            partition by activity_date order by recorded_on rows between unbounded preceding and current row
        )::number(38, 0) as plays_after,
        sum(streams) over (
            partition by activity_date order by recorded_on rows between unbounded preceding and current row
        )::number(38, 0) as streams_after
    from recorded
)

select
    activity_date,
    recorded_on,
    plays_after - plays as plays_before,
    plays_after,
    streams_after - streams as streams_before,
    streams_after
from summed
where recorded_on > activity_date
