select
    day as activity_date, user_id, device_type, state,
    count(*) filter (where kind = 'listen') as plays,
    count(*) filter (where is_stream) as streams,
    count(*) filter (where page = 'Skip') as skips,
    count(*) filter (where page = 'Pause') as pauses,
    count(*) filter (where page = 'Add to Playlist') as playlist_adds,
    count(distinct (event.session_id, day_run)) as sessions,
    coalesce(sum(heard_e6), 0) / 1e6 as heard_seconds,
    coalesce(sum(duration_e5) filter (where kind = 'listen'), 0) / 1e5 as nominal_seconds,
    complete(day + 1) as is_complete
from event left join songs on songs.number = event.song
left join (select session_id, ts, item, heard_e6, is_stream from listen) as heard
    on event.kind = 'listen' and heard.session_id = event.session_id and heard.ts = event.ts and heard.item = event.item
where user_id is not null
  and (kind = 'listen' or (kind = 'page_view' and page in ('Skip', 'Pause', 'Add to Playlist')))
group by all order by activity_date, user_id, device_type, state
