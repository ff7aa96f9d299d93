-- A city with too few users to be named counts as 'Other' in its state. If the others of a state are too few as well,
-- they count in the state 'Other'.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'subjects': ['events', 'listens', 'closed']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

with heard as (
    select activity_date, state, city, user_id, count(*) as plays, count_if(is_stream) as streams
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', dates_to_build(window)) }}
    group by activity_date, state, city, user_id
),

in_cities as (
    select
        activity_date,
        state,
        user_id,
        plays,
        streams,
        case
            when count(distinct user_id) over (partition by activity_date, state, city) >= {{ var('min_cell_users') }}
                then city
            else 'Other'
        end as shown_city
    from heard
),

in_states as (
    select
        activity_date,
        user_id,
        plays,
        streams,
        shown_city,
        case
            when
                shown_city <> 'Other'
                or count(distinct user_id) over (partition by activity_date, state, shown_city)
                >= {{ var('min_cell_users') }}
                then state
            else 'Other'
        end as shown_state
    from in_cities
)

select
    in_states.activity_date,
    in_states.shown_state as state,
    in_states.shown_city as city,
    sum(in_states.plays)::number(38, 0) as plays,
    sum(in_states.streams)::number(38, 0) as streams,
    count(distinct in_states.user_id) as users,
    dates.is_complete
from in_states
inner join {{ ref('dim_dates') }} as dates on in_states.activity_date = dates.activity_date
group by in_states.activity_date, in_states.shown_state, in_states.shown_city, dates.is_complete
