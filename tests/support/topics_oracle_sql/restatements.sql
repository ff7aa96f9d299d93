select
    a.activity_date, late.recorded_on,
    count(*) filter (where a.recorded_at < late.recorded_on) as plays_before,
    count(*) as plays_after,
    count(*) filter (where a.is_stream and a.recorded_at < late.recorded_on) as streams_before,
    count(*) filter (where a.is_stream) as streams_after
from (select distinct activity_date, recorded_at::date as recorded_on from fact where recorded_at::date > activity_date) as late
join fact as a on a.activity_date = late.activity_date and a.recorded_at < late.recorded_on + interval 1 day
group by all
