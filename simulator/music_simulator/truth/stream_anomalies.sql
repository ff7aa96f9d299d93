with counted as (select hour, state, count(*) as plays from listen group by all),
-- Each hour and state with plays in that hour, or in the same hour of one of the four previous weeks.
wanted as (
    select distinct hour + to_days(7 * weeks) as hour, state
    from counted, unnest([0, 1, 2, 3, 4]) as t (weeks)
    where complete(hour + to_days(7 * weeks) + interval 1 hour)
),
compared as (
    select
        wanted.hour, wanted.state,
        coalesce(any_value(counted.plays) filter (where counted.hour = wanted.hour), 0) as plays,
        coalesce(sum(counted.plays) filter (where counted.hour < wanted.hour), 0) as total,
        coalesce(sum(counted.plays * counted.plays) filter (where counted.hour < wanted.hour), 0) as squares
    from wanted
    left join counted
        on counted.state = wanted.state
        and counted.hour in (
            wanted.hour, wanted.hour - to_days(7), wanted.hour - to_days(14), wanted.hour - to_days(21),
            wanted.hour - to_days(28)
        )
    group by all
)
-- For four whole numbers, 16 · variance = 4 · squares - total², without rounding.
select
    hour as activity_hour, state, plays, total / 4 as mean_plays, sqrt(4 * squares - total * total) / 4 as deviation,
    (plays - mean_plays) / greatest(deviation, 1) as score, true as is_complete
from compared order by activity_hour, state
