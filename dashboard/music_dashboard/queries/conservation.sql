-- What became of every loaded row: an event that counts, another record of the same event, or quarantined.
select
    loaded.row_count as loaded,
    events.row_count as events,
    loaded.row_count - events.row_count - quarantined.row_count as repeated,
    quarantined.row_count as quarantined
from (select coalesce(sum(row_count), 0) as row_count from OPS.LOAD_HISTORY) as loaded
cross join (select count(*) as row_count from SILVER.EVENTS) as events
cross join (select coalesce(sum(records), 0) as row_count from OPS.QUARANTINE_SUMMARY) as quarantined
