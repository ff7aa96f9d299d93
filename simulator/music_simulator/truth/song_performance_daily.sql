with heard as (
    select
        day, song_id, title, artist_id, coalesce(country, 'Unknown') as country, level, user_id, is_stream, heard_e6,
        duration_e5, heard_is_estimated, day = min(day) over (partition by song_id, user_id) as is_first
    from listen
),
saver as (
    select distinct true as saves, day, song_id, coalesce(country, 'Unknown') as country, level, user_id
    from event join songs on songs.number = event.song
    where kind = 'page_view' and page = 'Add to Playlist'
)
select
    day as activity_date, song_id as song_key, title as song_title, artist_id, country, level,
    count(*) as plays, count(*) filter (where is_stream) as streams, count(distinct user_id) as listeners,
    count(distinct user_id) filter (where is_first) as first_time_listeners,
    count(distinct user_id) filter (where saves) as savers,
    count(*) filter (where not heard_is_estimated) as known_plays,
    count(*) filter (where not heard_is_estimated and heard_e6 < stream_seconds() * 1000000) as skips_before_30s,
    count(*) filter (where not heard_is_estimated and heard_e6 * 100 >= duration_e5 * 10 * 95) as completed_plays,
    sum(heard_e6) / 1e6 as heard_seconds,
    count(*) filter (where not heard_is_estimated and heard_e6 < stream_seconds() * 1000000)
        / nullif(count(*) filter (where not heard_is_estimated), 0) as skip_30s_rate,
    count(*) filter (where not heard_is_estimated and heard_e6 * 100 >= duration_e5 * 10 * 95)
        / nullif(count(*) filter (where not heard_is_estimated), 0) as completion_rate,
    savers / listeners as save_rate,
    streams / listeners as streams_per_listener,
    complete(day + 1) as is_complete
from heard left join saver using (day, song_id, country, level, user_id) group by all order by activity_date, song_key, country, level
