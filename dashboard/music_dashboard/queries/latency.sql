-- How long the events of the latest batches took, batch by batch.
select
    version, built_at, events, late_events, lake_seconds_p50, lake_seconds_p95, raw_seconds_p50, raw_seconds_p95,
    marts_seconds_p50, marts_seconds_p95
from OPS.PIPELINE_LATENCY
order by version desc
limit 50
