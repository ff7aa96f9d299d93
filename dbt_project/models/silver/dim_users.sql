-- Type 2: each row has a user's attributes from valid_from (inclusive) to valid_to (exclusive).
{{ config(
    materialized='incremental',
    incremental_strategy='replace_users',
    meta={'tier': 'policy'}
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with numbered as (
    select
        *,
        row_number() over (
            partition by user_id order by event_time, session_id, item_in_session, event_kind, event_id
        ) as state_number,
        lag(said) over (
            partition by user_id order by event_time, session_id, item_in_session, event_kind, event_id
        ) as said_before
    from {{ ref('user_states') }}
    {% if touched_dates(window) is not none %}
    where user_id in ({{ changed_events(['user_id'], window) }})
    {% endif %}
),

states as (
    select * from numbered where said_before is null or said <> said_before or event_kind = 'status_change'
),

people as (
    select user_id, first_name, last_name, gender, registered_at
    from states
    qualify row_number() over (partition by user_id order by registered_at nulls last, state_number) = 1
),

firsts as (
    select
        states.user_id,
        least(min(states.event_time), coalesce(min(states.registered_at), min(states.event_time))) as valid_from
    from states
    group by states.user_id
),

-- Of several changes at the same instant, the last one opens the row.
level_changes as (
    select user_id, event_time as valid_from, {{ other_level('level') }} as level
    from states
    where event_kind = 'status_change'
    qualify row_number() over (partition by user_id, event_time order by state_number desc) = 1
),

-- Before the first change, a user had the level that the change ended. Without a change, the first event has the level.
first_levels as (
    select user_id, level
    from states
    where level is not null
    qualify row_number() over (
        partition by user_id order by case when event_kind = 'status_change' then 0 else 1 end, state_number
    ) = 1
),

places as (
    select
        user_id,
        event_time as valid_from,
        state_number,
        city,
        state,
        zip,
        to_json(array_construct(city, state, zip)) as place,
        lag(to_json(array_construct(city, state, zip))) over (partition by user_id order by state_number) as place_before
    from states
    where city is not null or state is not null or zip is not null
),

first_places as (
    select user_id, city, state, zip from places where place_before is null
),

moves as (
    select user_id, valid_from, city, state, zip
    from places
    where place <> place_before
    qualify row_number() over (partition by user_id, valid_from order by state_number desc) = 1
),

instants as (
    select user_id, valid_from from firsts
    union
    select user_id, valid_from from level_changes
    union
    select user_id, valid_from from moves
),

carried as (
    select
        instants.user_id,
        instants.valid_from,
        lead(instants.valid_from) over (partition by instants.user_id order by instants.valid_from) as valid_to,
        last_value(level_changes.level) ignore nulls over (
            partition by instants.user_id order by instants.valid_from rows between unbounded preceding and current row
        ) as level,
        last_value(moves.valid_from) ignore nulls over (
            partition by instants.user_id order by instants.valid_from rows between unbounded preceding and current row
        ) as moved_at
    from instants
    left join level_changes
        on instants.user_id = level_changes.user_id and instants.valid_from = level_changes.valid_from
    left join moves on instants.user_id = moves.user_id and instants.valid_from = moves.valid_from
)

select
    carried.user_id,
    carried.valid_from,
    carried.valid_to,
    carried.valid_to is null as is_current,
    coalesce(carried.level, first_levels.level) as level,
    case when carried.moved_at is null then first_places.city else moves.city end as city,
    case when carried.moved_at is null then first_places.state else moves.state end as state,
    case when carried.moved_at is null then first_places.zip else moves.zip end as zip,
    people.first_name,
    people.last_name,
    people.gender,
    people.registered_at
from carried
left join people on carried.user_id = people.user_id
left join first_levels on carried.user_id = first_levels.user_id
left join first_places on carried.user_id = first_places.user_id
left join moves on carried.user_id = moves.user_id and carried.moved_at = moves.valid_from
