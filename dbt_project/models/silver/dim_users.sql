-- Type 2: each row has a user's attributes from valid_from (inclusive) to valid_to (exclusive). The level is the one that the
-- user's events carry, and the one after a level change. A cancellation closes the last row, until an event opens another.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_users',
    meta={'tier': 'policy'}
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with states as (
    select *, row_number() over (partition by user_id order by {{ state_order() }}) as state_number
    from {{ ref('user_states') }}
    {% if touched_dates(window) is not none %}
    where user_id in ({{ changed_events(['user_id'], window) }})
    {% endif %}
),

-- Names as they were written last, and the first time of registration.
people as (
    select
        user_id,
        max_by(first_name, case when first_name is not null then state_number end) as first_name,
        max_by(last_name, case when last_name is not null then state_number end) as last_name,
        max_by(gender, case when gender is not null then state_number end) as gender,
        min(registered_at) as registered_at,
        least(min(event_time), coalesce(min(registered_at), min(event_time))) as first_time,
        min_by(level, case when level is not null then state_number end) as first_level,
        min(case when city is not null or state is not null or zip is not null then state_number end) as first_place,
        min_by(country, case when country is not null then state_number end) as first_country
    from states
    group by user_id
),

-- What was true before the first event, then what each event says.
said as (
    select
        user_id,
        first_time as valid_from,
        0 as state_number,
        first_level as level,
        first_place as place_number,
        first_country as country,
        false as is_closed
    from people
    union all
    select
        user_id,
        event_time as valid_from,
        state_number,
        case when event_kind = 'status_change' then level_after else level end as level,
        case when city is not null or state is not null or zip is not null then state_number end as place_number,
        country,
        cancels as is_closed
    from states
),

known as (
    select
        user_id,
        valid_from,
        state_number,
        last_value(level) ignore nulls over (
            partition by user_id order by state_number rows between unbounded preceding and current row
        ) as level,
        last_value(place_number) ignore nulls over (
            partition by user_id order by state_number rows between unbounded preceding and current row
        ) as place_number,
        last_value(country) ignore nulls over (
            partition by user_id order by state_number rows between unbounded preceding and current row
        ) as country,
        is_closed
    from said
),

-- Of several states at the same instant, the last one counts.
placed as (
    select
        known.user_id,
        known.valid_from,
        known.level,
        known.is_closed,
        known.country,
        places.city,
        places.state,
        places.zip,
        to_json(array_construct(
            known.level, known.is_closed::varchar, places.city, places.state, places.zip, known.country
        )) as attributes
    from known
    left join states as places on known.user_id = places.user_id and known.place_number = places.state_number
    qualify row_number() over (partition by known.user_id, known.valid_from order by known.state_number desc) = 1
),

compared as (
    select *, lag(attributes) over (partition by user_id order by valid_from) as attributes_before from placed
),

periods as (
    select
        *,
        lead(valid_from) over (partition by user_id order by valid_from) as valid_to
    from compared
    where attributes_before is null or attributes <> attributes_before
)

select
    periods.user_id,
    periods.valid_from,
    periods.valid_to,
    periods.valid_to is null as is_current,
    periods.level,
    periods.country,
    periods.city,
    periods.state,
    periods.zip,
    people.first_name,
    people.last_name,
    people.gender,
    people.registered_at
from periods
left join people on periods.user_id = people.user_id
where not periods.is_closed
