-- Places that events come from. A place has the country of the registered users who live in its state.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_changed',
    meta={'reference': true, 'aggregate': true},
    unique_key=['state', 'city']
) }}
{%- set window = open_window() %}

with places as (
    {{ seen_values({'state': "coalesce(state, 'Unknown')", 'city': "coalesce(city, 'Unknown')"}, 'true', window) }}
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
