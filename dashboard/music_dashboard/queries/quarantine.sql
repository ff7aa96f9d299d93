-- Records that break the contract, by reason.
select
    quarantine_reason,
    coalesce(event_kind, 'unknown') as event_kind,
    sum(records) as records,
    sum(redriven) as redriven,
    sum(still_open) as still_open,
    max(last_produced_at) as last_produced_at
from OPS.QUARANTINE_SUMMARY
group by quarantine_reason, coalesce(event_kind, 'unknown')
order by records desc, quarantine_reason, event_kind
