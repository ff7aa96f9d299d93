select
    day as activity_date, user_id, device_type, state,
    count(*) filter (where kind = 'listen') as plays,
    count(*) filter (where page = 'Skip') as skips,
    count(*) filter (where page = 'Pause') as pauses,
    count(*) filter (where page = 'Add to Playlist') as playlist_adds,
    count(distinct (session_id, run)) as sessions,
    coalesce(sum(duration_e5) filter (where kind = 'listen'), 0) / 1e5 as seconds
from event left join songs on songs.number = event.song
where user_id is not null
  and (kind = 'listen' or (kind = 'page_view' and page in ('Skip', 'Pause', 'Add to Playlist')))
group by all order by activity_date, user_id, device_type, state
