with counted as (select hour, state, count(*) as plays from listen group by all),
-- Each hour and state with plays in that hour, or in the same hour of one of the eight previous weeks.
wanted as (
    select distinct hour + to_days(7 * weeks) as hour, state
    from counted, unnest([0, 1, 2, 3, 4, 5, 6, 7, 8]) as t (weeks)
    where complete(hour + to_days(7 * weeks) + interval 1 hour)
),
compared as (
    select
        wanted.hour, wanted.state,
        coalesce(any_value(counted.plays) filter (where counted.hour = wanted.hour), 0) as plays,
        coalesce(sum(counted.plays) filter (where counted.hour < wanted.hour), 0) as total,
        least(8, (wanted.hour::date - (select min(day) from spine)) // 7) as weeks
    from wanted
    left join counted
        on counted.state = wanted.state
        and counted.hour in (
            select wanted.hour - to_days(7 * weeks) from unnest([0, 1, 2, 3, 4, 5, 6, 7, 8]) as t (weeks)
        )
    group by all
),
expected as (select *, case when weeks >= 4 then total / weeks end as expected_plays from compared),
scored as (
    select *, (plays - expected_plays) / sqrt(400 + 2 * expected_plays + expected_plays * expected_plays / 16) as score
    from expected
)
select
    hour as activity_hour, state, plays, weeks as baseline_weeks, expected_plays, score,
    coalesce(abs(score) >= 3.9, false) as is_anomaly, true as is_complete
from scored order by activity_hour, state
