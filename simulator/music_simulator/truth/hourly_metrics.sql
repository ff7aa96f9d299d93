with hours as (
    select unnest(generate_series(day::timestamp, day + interval 23 hour, interval 1 hour)) as activity_hour from spine
),
counted as (
    select activity_hour, count(listen.kind) as plays, count(*) filter (where is_stream) as streams,
        count(distinct user_id) as users
    from hours left join listen on listen.hour = activity_hour group by activity_hour
)
select
    *, lag(plays, 24) over (order by activity_hour) as plays_previous_day,
    complete(activity_hour + interval 1 hour) as is_complete
from counted where activity_hour <= (select as_of.as_of from as_of) or plays > 0 order by activity_hour
