-- Places where users live or have lived. A city with too few users to be named counts as 'Other' in its state. A place has the
-- country of the registered users who live in its state.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_changed',
    meta={'reference': true, 'tier': 'policy'},
    unique_key=['state', 'city']
) }}
{%- do open_window() %}

with homes as (
    select coalesce(state, 'Unknown') as state, coalesce(city, 'Unknown') as city, user_id from {{ ref('dim_users') }}
),

places as (
    select state, city
    from homes
    group by state, city
    having count(distinct user_id) >= {{ var('min_cell_users') }}
    union
    select state, 'Other' as city from homes
    union
    select 'Other' as state, 'Other' as city
),

countries as (
    select state, min(country) as country from {{ ref('stg_users') }} where country is not null group by state
)

select
    places.state,
    places.city,
    coalesce(countries.country, 'Unknown') as country
from places
left join countries on places.state = countries.state
