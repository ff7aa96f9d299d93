-- The valid events that were delivered, each once, with everything that the marts need. A copy does not differ from its
-- original in anything selected here, so DISTINCT keeps one of them.
create table event as
with delivered as (
    select distinct
        kinds.name as kind,
        make_timestamp((clock.start_epoch + log.second) * 1000000) as ts,
        case when states.knows_user then cast(log.user_number as varchar) end as user_id,
        log.session_id,
        log.item,
        log.login,
        states.page,
        states.level,
        case when states.knows_user then genders.name end as gender,
        log.song,
        places.city,
        places.state,
        devices.type as device_type,
        devices.os as device_os
    from log
    cross join clock
    join kinds on kinds.number = log.kind
    join states on states.number = log.state
    join places on places.number = log.place
    join devices on devices.number = log.device
    join genders on genders.number = log.gender
    where log.fault = 0 and log.number not in (select number from lost)
),
owned as (
    select *, cast(ts as date) as day, coalesce(user_id, 'guest-' || session_id) as visitor from delivered
),
spaced as (
    select *, ts - lag(ts) over (partition by visitor, session_id order by ts) as pause from owned
)
-- A session: a run of one visitor's events under one session id, without a pause of half an hour or more.
select
    * exclude (pause),
    count(*) filter (where pause is null or pause >= interval 30 minute)
        over (partition by visitor, session_id order by ts range unbounded preceding) as run
from spaced;

create view listen as
select event.*, songs.* exclude (number), date_trunc('hour', ts) as hour, date_trunc('week', ts)::date as week
from event join songs on songs.number = event.song
where event.kind = 'listen';

-- Every date from the first to the last with a listen.
create view spine as
select cast(unnest(generate_series(min(day), max(day), interval 1 day)) as date) as day from listen;

create view session as
select
    visitor, any_value(user_id) as user_id, session_id, run,
    min(ts) as session_start, max(ts) as session_end,
    arg_max(level, (ts, item, kind)) as level
from event group by visitor, session_id, run;
