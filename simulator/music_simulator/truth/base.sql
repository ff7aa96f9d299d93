-- The users that a place must have to be named, and the seconds of a stream; dbt_project.yml has the same.
create macro min_cell_users() as 5;
create macro stream_seconds() as 30;
-- Of the streams of a song by a user on a date, this many count in charts and royalties.
create macro streams_of_a_song_and_day() as 50;
-- Places of a chart, and streams that are worth a point in one, of paying users and of others, as in dbt's seed.
create macro chart_size() as 40;
create table chart_weight as
select * from (values
    (date '2000-01-01', 1250, 3750),
    (date '2026-01-02', 1000, 2500)
) as t (valid_from, a_point_paid, a_point_free);
-- What is distributed for each month, country and plan, and days after the month when it is closed.
create macro royalty_pool_cents() as 1000000;
create macro royalty_close_days() as 1;
-- Streams of the last twelve months that a song needs to get a share.
create macro royalty_least_streams() as 10;
-- Dates of the last 28 with a listen from which a listener of an artist is super, or moderate.
create macro super_listener_days() as 5;
create macro moderate_listener_days() as 2;
-- The plays of the last 28 dates from which a user is heavy, or regular.
create macro heavy_plays() as 200;
create macro regular_plays() as 20;
-- Monthly prices in cents, as in dbt's seed.
create table plan_price as
select * from (values
    (date '2000-01-01', 'paid', 'All', 1099),
    (date '2026-02-01', 'paid', 'US', 1299)
) as t (valid_from, plan, country, monthly_cents);
-- An event time further ahead of its record's, or behind it, in seconds, is a wrong clock's.
create macro clock_ahead() as 10 * 60;
create macro clock_behind() as 730 * 86400;

-- The valid events that were delivered, each once, with everything that the marts need. A copy does not differ from its
-- original in anything selected here, so DISTINCT keeps one of them.
create table event as
with valid as (
    select *, min(due) over (partition by session_id, item, kind) as first_due
    from log where fault = 0 and number not in (select number from lost)
),
delivered as (
    select distinct
        kinds.name as kind,
        make_timestamp((clock.start_epoch + case
            when clock.records_have_times
                and (log.claimed > first_due + clock_ahead() or log.claimed < first_due - clock_behind()) then first_due
            else log.claimed
        end) * 1000000) as ts,
        case when clock.records_have_times then make_timestamp((clock.start_epoch + first_due) * 1000000) end as recorded_at,
        case when states.knows_user then cast(log.user_number as varchar) end as user_id,
        case when states.knows_user then
            make_timestamp((clock.start_epoch + coalesce(registered.second, log.registration)) * 1000000)
        end as registered_at,
        log.event_id,
        log.session_id,
        log.item,
        log.login,
        log.version,
        case when log.version >= 2 and log.listened_e6 >= 0 then log.listened_e6 end as listened_e6,
        case when log.version >= 3 then sources.name end as source,
        case when log.version >= 3 then places.country end as country,
        case when log.version >= 3 then places.time_zone end as time_zone,
        states.page,
        states.auth,
        states.level,
        case when states.knows_user then genders.name end as gender,
        log.song,
        log.driven,
        places.city,
        places.state,
        devices.type as device_type,
        devices.os as device_os
    from valid as log
    cross join clock
    join kinds on kinds.number = log.kind
    join sources on sources.number = log.source
    join states on states.number = log.state
    join places on places.number = log.place
    join devices on devices.number = log.device
    join genders on genders.number = log.gender
    left join registered on registered.who = log.who
),
-- The events of a session id without a user belong to its user, if it has exactly one.
owners as (
    select session_id, case when count(distinct user_id) = 1 then any_value(user_id) end as owner from delivered group by 1
),
owned as (
    select *, cast(ts as date) as day, coalesce(user_id, owner, 'guest-' || session_id) as visitor
    from delivered join owners using (session_id)
),
-- Until when the song plays that an event starts; for an event that ends a song, its own time.
marked as (
    select
        owned.*,
        case
            when kind = 'listen' or page = 'NextSong' then ts + to_milliseconds(least(cast(round(songs.duration_e5 / 100) as bigint), 43200000))
            when page in ('Skip', 'Logout', 'Cancel', 'Playback End') then ts
        end as plays_until
    from owned left join songs on songs.number = owned.song
),
busy as (
    select
        *,
        greatest(ts, last_value(plays_until ignore nulls) over through) as busy_until,
        greatest(ts, last_value(plays_until ignore nulls) over through_day) as busy_until_of_day
    from marked
    window
        through as (partition by visitor, session_id order by ts, item, kind rows unbounded preceding),
        through_day as (partition by visitor, session_id, day order by ts, item, kind rows unbounded preceding)
),
spaced as (
    select
        * exclude (plays_until),
        ts - lag(busy_until) over (partition by visitor, session_id order by ts, item, kind) as pause,
        ts - lag(busy_until_of_day) over (partition by visitor, session_id, day order by ts, item, kind) as pause_of_day
    from busy
)
-- A session: a run of one visitor's events under one session id, without half an hour in which nothing happens or plays.
-- `day_run` is the same among the events of one date.
select
    * exclude (pause, pause_of_day),
    count(*) filter (where pause is null or pause >= interval 30 minute)
        over (partition by visitor, session_id order by ts, item, kind rows unbounded preceding) as run,
    count(*) filter (where pause_of_day is null or pause_of_day >= interval 30 minute)
        over (partition by visitor, session_id, day order by ts, item, kind rows unbounded preceding) as day_run
from spaced;

-- How each song ended: the first event after its start, by (ts, item), that starts another one or ends this one.
create table ending as
with marks as (
    select
        session_id, ts, item,
        bool_or(kind = 'listen' or page = 'NextSong') as starts,
        max(page) filter (where page in ('Skip', 'Logout', 'Cancel', 'Playback End')) as stop,
        bool_or(page = 'Pause') as pauses,
        max(song) filter (where page in ('Skip', 'Playback End')) as stopped_song,
        max(song) filter (where kind = 'listen' or page = 'NextSong') as song,
        max(listened_e6) as listened_e6
    from event
    where kind = 'listen'
       or page in ('NextSong', 'Skip', 'Logout', 'Cancel', 'Playback End', 'Pause', 'Resume')
    group by session_id, ts, item
),
pauses as (
    select *, lead(ts) over (partition by session_id order by ts, item) - ts as length from marks
),
starts as (select session_id, ts, item, song from marks where starts),
ends as (select session_id, ts, item, starts, stop, stopped_song, listened_e6 from marks where starts or stop is not null),
paired as (
    select starts.*, min(row(ends.ts, ends.item)) as ended_at
    from starts
    left join ends on ends.session_id = starts.session_id and row(ends.ts, ends.item) > row(starts.ts, starts.item)
    group by all
)
select
    paired.session_id, paired.ts, paired.item,
    case when ends.starts then 'next' when ends.stop = 'Skip' then 'skip' when ends.stop = 'Playback End' then 'end'
         when ends.stop is not null then 'logout' else 'unknown' end as ended_by,
    case when ends.stopped_song is null or ends.stopped_song = paired.song then ends.listened_e6 end as listened_e6,
    epoch_us(ends.ts) - epoch_us(paired.ts) - coalesce((
        select sum(epoch_us(pauses.ts + pauses.length) - epoch_us(pauses.ts)) from pauses
        where pauses.session_id = paired.session_id and pauses.pauses
          and row(pauses.ts, pauses.item) > row(paired.ts, paired.item) and row(pauses.ts, pauses.item) < paired.ended_at
    ), 0) as played_e6
from paired
left join ends on ends.session_id = paired.session_id and row(ends.ts, ends.item) = paired.ended_at;

create view listen as
with ended as (
    select
        event.*, songs.* exclude (number), date_trunc('hour', event.ts) as hour, date_trunc('week', event.ts)::date as week,
        ending.ended_by, ending.listened_e6 is null as heard_is_estimated,
        coalesce(ending.listened_e6, least(ending.played_e6, duration_e5 * 10), duration_e5 * 10) as heard_e6
    from event
    join songs on songs.number = event.song
    join ending on ending.session_id = event.session_id and ending.ts = event.ts and ending.item = event.item
    where event.kind = 'listen'
)
select *, heard_e6 >= stream_seconds() * 1000000 as is_stream from ended;

-- Listens with what charts and royalties ask of them.
create view judged as
select
    *,
    case
        when not is_stream then 'short'
        when row_number() over (partition by day, user_id, song_id, is_stream order by ts, event_id) > streams_of_a_song_and_day()
            then 'repeated'
    end as ineligible_reason
from listen;

-- The time of the last record: what ends by then is complete. Without times of their own, records are as old as this file.
create view as_of as select coalesce((select max(recorded_at) from event), any_value(made_at)) as as_of from clock;
create macro complete(next_instant) as next_instant <= (select as_of.as_of from as_of);

-- Every date from the first to the last with a listen.
create view spine as
select cast(unnest(generate_series(min(day), max(day), interval 1 day)) as date) as day from listen;

create view session as
select
    visitor, any_value(user_id) as user_id, session_id, run,
    min(ts) as session_start, arg_max(busy_until, (ts, item, kind)) as session_end,
    arg_max(level, (ts, item, kind)) as level
from event group by visitor, session_id, run;

-- Changes of what a user subscribes to after the last event of a date, against what was true before the date.
create table moved as
with ended as (
    select
        user_id, day,
        arg_max(case when kind = 'status_change' then if(level = 'free', 'paid', 'free') else level end, place) as level,
        arg_max(kind = 'page_view' and page = 'Cancellation Confirmation', place) as cancels
    from (select *, (ts, session_id, item, kind) as place from event where user_id is not null)
    group by user_id, day
),
located as (
    select
        user_id, day, level, cancels,
        (select arg_max(country, (ts, session_id, item, kind)) from event
         where event.user_id = ended.user_id and event.day <= ended.day and country is not null) as country
    from ended
),
first_level as (
    select user_id, arg_min(level, (ts, session_id, item, kind)) as level from event where user_id is not null group by user_id
),
plans as (
    select
        user_id, day, cancels, first_level.level <> 'free' as began,
        case when located.level <> 'free' and not cancels then located.level end as plan,
        case when located.level <> 'free' and not cancels then coalesce(country, 'Unknown') end as country
    from located join first_level using (user_id)
),
chained as (
    select
        *,
        lag(plan) over by_day as plan_before, lag(country) over by_day as country_before,
        row_number() over by_day as n,
        coalesce(bool_or(plan is not null) over (by_day rows between unbounded preceding and 1 preceding), false) as had
    from plans
    window by_day as (partition by user_id order by day)
),
moved as (
    select
        *,
        case
            when plan is null then if(cancels, 'cancelled', 'downgraded')
            when plan_before is not null then 'moved'
            when had then 'reactivated'
            when n = 1 and began then 'first_seen'
            else 'new'
        end as movement
    from chained where plan is distinct from plan_before or country is distinct from country_before
)
select * from moved;
