select
    judged.day as activity_date, hour(judged.ts at time zone 'UTC' at time zone time_zone) as local_hour, coalesce(country, 'Unknown') as country, state, judged.level, device_type,
    coalesce(source, 'Unknown') as source, genre, ended_by, heard_is_estimated as is_estimated, is_stream, ineligible_reason,
    count(*) as plays, count(distinct judged.user_id) as users, count(distinct (visitor, session_id, run)) as sessions,
    sum(heard_e6) / 1e6 as heard_seconds, sum(duration_e5) / 1e5 as nominal_seconds
from judged join session using (visitor, session_id, run)
group by all order by all
