-- A city with too few users to be named counts as 'Other' in its state. If the others of a state are too few as well, they
-- count in the state 'Other' of their country, and if those are too few, in the country 'Other'.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'subjects': ['events', 'listens', 'closed']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

with heard as (
    select activity_date, country, state, city, user_id, count(*) as plays, count_if(is_stream) as streams
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', dates_to_build(window)) }}
    group by activity_date, country, state, city, user_id
),

in_cities as (
    select
        activity_date,
        country,
        state,
        user_id,
        plays,
        streams,
        case
            when
                count(distinct user_id) over (partition by activity_date, country, state, city)
                >= {{ var('min_cell_users') }}
                then city
            else 'Other'
        end as shown_city
    from heard
),

in_states as (
    select
        activity_date,
        country,
        user_id,
        plays,
        streams,
        shown_city,
        case
            when
                shown_city <> 'Other'
                or count(distinct user_id) over (partition by activity_date, country, state, shown_city)
                >= {{ var('min_cell_users') }}
                then state
            else 'Other'
        end as shown_state
    from in_cities
),

in_countries as (
    select
        activity_date,
        user_id,
        plays,
        streams,
        shown_city,
        shown_state,
        case
            when
                shown_state <> 'Other'
                or count(distinct user_id) over (partition by activity_date, country, shown_state)
                >= {{ var('min_cell_users') }}
                then country
            else 'Other'
        end as shown_country
    from in_states
)

select
    in_countries.activity_date,
    in_countries.shown_country as country,
    in_countries.shown_state as state,
    in_countries.shown_city as city,
    sum(in_countries.plays)::number(38, 0) as plays,
    sum(in_countries.streams)::number(38, 0) as streams,
    count(distinct in_countries.user_id) as users,
    dates.is_complete
from in_countries
inner join {{ ref('dim_dates') }} as dates on in_countries.activity_date = dates.activity_date
group by
    in_countries.activity_date, in_countries.shown_country, in_countries.shown_state, in_countries.shown_city,
    dates.is_complete
