-- Records quarantined on one day (UTC), by default today. Their payloads are in silver.quarantine.
set today = sysdate()::date;

select kafka_topic, quarantine_reason, records, redriven, still_open
from ops.quarantine_summary
where ingested_date = $today::date
order by records desc, kafka_topic, quarantine_reason;
