-- Dates whose plays have changed after they were over, and by how much.
select
    activity_date,
    min(plays_before) as plays_at_first,
    max(plays_after) as plays,
    max(plays_after) - min(plays_before) as plays_added,
    max(streams_after) - min(streams_before) as streams_added,
    max(recorded_on) as last_recorded_on
from OPS.RESTATEMENTS
where activity_date between :start and :end
group by activity_date
order by activity_date
