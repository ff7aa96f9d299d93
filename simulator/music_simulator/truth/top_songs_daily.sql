select
    day as activity_date, song_id as song_key, title as song_title, artist_id, artist_name,
    count(*) filter (where kind = 'listen') as plays,
    count(*) filter (where is_stream) as streams,
    count(*) filter (where page = 'Skip') as skips,
    count(*) filter (where page = 'Pause') as pauses,
    count(*) filter (where page = 'Add to Playlist') as playlist_adds,
    count(*) filter (where page = 'Thumbs Up') as thumbs_up,
    count(*) filter (where page = 'Thumbs Down') as thumbs_down,
    count(distinct user_id) filter (where kind = 'listen') as unique_listeners,
    coalesce(sum(heard_e6), 0) / 1e6 as heard_seconds,
    coalesce(sum(duration_e5) filter (where kind = 'listen'), 0) / 1e5 as nominal_seconds,
    complete(day + 1) as is_complete
from event join songs on songs.number = event.song
left join (select session_id, ts, item, heard_e6, is_stream from listen) as heard
    on event.kind = 'listen' and heard.session_id = event.session_id and heard.ts = event.ts and heard.item = event.item
where kind = 'listen'
   or (kind = 'page_view' and page in ('Skip', 'Pause', 'Add to Playlist', 'Thumbs Up', 'Thumbs Down'))
group by all order by activity_date, song_key
