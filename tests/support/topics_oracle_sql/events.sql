-- Rules 1, 6, 9 and 10: which events count and when, whose they are, in which visit, how much was heard.
create table event as
with told as (
    select
        kind, doc, doc->>'eventId' as event_id, make_timestamp(recorded * 1000) as recorded_at,
        make_timestamp((doc->>'ts')::bigint * 1000) as client_time
    from record
    qualify row_number() over (partition by doc->>'eventId' order by recorded, kind, place) = 1
)
select
    kind, event_id, recorded_at,
    case
        when client_time - recorded_at > interval 10 minute or recorded_at - client_time > interval 730 day then recorded_at
        else client_time
    end as happened_at,
    doc->>'userId' as user_id, (doc->>'sessionId')::bigint as session_id, (doc->>'itemInSession')::bigint as item,
    doc->>'level' as level, coalesce(doc->>'levelAfter', if(doc->>'level' = 'free', 'paid', 'free')) as level_after,
    case when kind = 'page_view' then doc->>'page' end as page,
    kind = 'listen' or coalesce(kind = 'page_view' and doc->>'page' = 'NextSong', false) as begins_song,
    doc->>'songId' as song_id, (doc->>'duration')::decimal(18, 6) as length, (doc->>'listenedSeconds')::decimal(18, 6) as told,
    doc->>'country' as country, doc->>'state' as state, doc->>'source' as source,
    doc->>'timeZone' as zone
from told;

-- Events of a session number at one place (ts, itemInSession) are one mark.
create table mark as
select
    session_id, happened_at, item, bool_or(begins_song) as begins,
    list(page) filter (where page in ('Skip', 'Logout', 'Cancel', 'Playback End')) as stops,
    bool_or(coalesce(page = 'Pause', false)) and not bool_or(begins_song)
        and count(*) filter (where page in ('Skip', 'Logout', 'Cancel', 'Playback End')) = 0 as is_pause,
    any_value(song_id) filter (where page in ('Skip', 'Playback End')) as about, max(told) as told
from event
where begins_song or page in ('Skip', 'Logout', 'Cancel', 'Playback End', 'Pause', 'Resume')
group by all;

create table song_played as
with placed as (
    select
        *, row_number() over in_order as number,
        -- Number of the next mark that begins or ends a song.
        min(if(begins or stops is not null, number_in_session, null)) over (
            partition by session_id order by happened_at, item rows between 1 following and unbounded following
        ) as end_number
    from (select *, row_number() over (partition by session_id order by happened_at, item) as number_in_session from mark)
    window in_order as (order by session_id, happened_at, item)
),
paused as (
    select
        a.session_id, a.number_in_session,
        sum(epoch_us(next.happened_at) - epoch_us(b.happened_at)) as microseconds
    from placed as a
    join placed as b on b.session_id = a.session_id and b.is_pause
        and b.number_in_session > a.number_in_session and b.number_in_session < a.end_number
    join placed as next on next.session_id = b.session_id and next.number_in_session = b.number_in_session + 1
    where a.begins
    group by all
)
select
    event.*,
    case
        when done.number is null then 'unknown' when done.begins then 'next' when list_contains(done.stops, 'Skip') then 'skip'
        when list_has_any(done.stops, ['Logout', 'Cancel']) then 'logout' else 'end'
    end as ended_by,
    case when done.about is null or done.about = event.song_id then done.told end as reported,
    ((epoch_us(done.happened_at) - epoch_us(event.happened_at) - coalesce(paused.microseconds, 0)) / 1e6)::decimal(18, 6)
        as elapsed,
    coalesce(reported, least(elapsed, length), length) as heard,
    reported is null as is_estimated,
    coalesce(heard >= $stream_seconds, false) as is_stream
from event
join placed on placed.session_id = event.session_id and placed.happened_at = event.happened_at and placed.item = event.item
left join placed as done on done.session_id = placed.session_id and done.number_in_session = placed.end_number
left join paused on paused.session_id = placed.session_id and paused.number_in_session = placed.number_in_session
where event.kind = 'listen';

create table visit as
with whose as (select session_id, if(count(distinct user_id) = 1, max(user_id), null) as owner from event group by session_id),
ordered as (
    select
        event.*, coalesce(user_id, owner, 'guest-' || session_id) as visitor,
        case
            when begins_song then happened_at + to_milliseconds(least(round(length * 1000), 12 * 3600 * 1000)::bigint)
            when page in ('Skip', 'Logout', 'Cancel', 'Playback End') then happened_at
        end as song_until
    from event join whose using (session_id)
),
busy as (
    select
        *, greatest(happened_at, last_value(song_until ignore nulls) over (
            partition by visitor, session_id order by happened_at, item, kind, event_id
            rows between unbounded preceding and current row
        )) as until
    from ordered
),
opened as (
    select
        *, coalesce(happened_at - lag(until) over (
            partition by visitor, session_id order by happened_at, item, kind, event_id
        ) >= interval 30 minute, true) as opens
    from busy
)
select
    event_id, visitor || '/' || session_id || '/' || epoch_ms(max(if(opens, happened_at, null)) over (
        partition by visitor, session_id order by happened_at, item, kind, event_id
        rows between unbounded preceding and current row
    )) as session_key
from opened;

create table fact as
select
    song_played.event_id, happened_at as started_at, happened_at::date as activity_date,
    hour(happened_at at time zone 'UTC' at time zone zone) as local_hour, user_id, session_key,
    song_id as song_key, coalesce(country, 'Unknown') as country, coalesce(state, 'Unknown') as state,
    coalesce(level, 'Unknown') as level, coalesce(source, 'Unknown') as source, heard as heard_seconds, is_estimated,
    is_stream, ended_by, recorded_at,
    case
        when heard is null then 'unknown' when not is_stream then 'short' when user_id is null then 'no user'
        when count(*) filter (where is_stream) over (
            partition by happened_at::date, user_id, song_id order by happened_at, song_played.event_id
            rows between unbounded preceding and current row
        ) > $streams_of_a_song_and_day then 'repeated'
    end as ineligible_reason
from song_played join visit on visit.event_id = song_played.event_id;
