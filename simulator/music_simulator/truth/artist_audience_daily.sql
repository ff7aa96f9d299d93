with heard as (select *, min(day) over (partition by artist_id, user_id) as first_day from listen),
audience as (
    select spine.day, listen.* exclude (day), listen.day as heard_on
    from spine join heard as listen on listen.day between spine.day - 27 and spine.day
),
listeners as (
    select day, artist_id, artist_name, user_id, count(*) filter (where is_stream) as streams, count(distinct heard_on) as days,
        bool_or(first_day >= day - 27) as is_new
    from audience group by all
),
counted as (
    select
        day, artist_id, artist_name, count(*) as listeners_28d,
        count(*) filter (where is_new) as new_listeners, sum(streams)::bigint as streams_28d,
        count(*) filter (where days >= super_listener_days()) as super_listeners,
        count(*) filter (where days between moderate_listener_days() and super_listener_days() - 1) as moderate_listeners,
        count(*) filter (where days < moderate_listener_days()) as light_listeners
    from listeners group by all
),
places as (
    select day, artist_id, 'country' as kind, country as place, count(distinct user_id) as users from audience group by all
    union all
    select day, artist_id, 'state', state, count(distinct user_id) from audience group by all
    union all
    select day, artist_id, 'city', concat_ws('|', state, city), count(distinct user_id) from audience group by all
),
best as (
    select day, artist_id, kind, min(place) as place from places
    where place is not null and users >= min_cell_users()
      and users = (select max(users) from places as p where p.day = places.day and p.artist_id = places.artist_id
          and p.kind = places.kind and p.place is not null)
    group by all
)
select
    counted.day as activity_date, counted.* exclude (day), country.place as top_country, state.place as top_state,
    split_part(city.place, '|', 2) || ', ' || split_part(city.place, '|', 1) as top_city,
    complete(counted.day + 1) as is_complete
from counted
left join best as country on country.day = counted.day and country.artist_id = counted.artist_id and country.kind = 'country'
left join best as state on state.day = counted.day and state.artist_id = counted.artist_id and state.kind = 'state'
left join best as city on city.day = counted.day and city.artist_id = counted.artist_id and city.kind = 'city'
order by activity_date, artist_id
