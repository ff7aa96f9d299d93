with heard as (
    select visitor, session_id, run, count(*) as plays, count(*) filter (where is_stream) as streams,
        sum(heard_e6) / 1e6 as heard_seconds, sum(duration_e5) / 1e5 as nominal_seconds
    from listen group by visitor, session_id, run
)
select
    session.user_id || '/' || session.session_id || '/' || epoch_ms(session_start) as session_key,
    session.user_id, session.session_id, session_start, session_end, plays, streams, heard_seconds,
    nominal_seconds, level
from heard join session using (visitor, session_id, run)
order by session.user_id, session.session_id, session_start
