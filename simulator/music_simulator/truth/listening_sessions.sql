with heard as (
    select visitor, session_id, run, count(*) as songs, sum(duration_e5) / 1e5 as seconds
    from listen group by visitor, session_id, run
)
select
    session.user_id || '/' || session.session_id || '/' || epoch_ms(session_start) as session_key,
    session.user_id, session.session_id, session_start, session_end, songs, seconds, level
from heard join session using (visitor, session_id, run)
order by session.user_id, session.session_id, session_start
