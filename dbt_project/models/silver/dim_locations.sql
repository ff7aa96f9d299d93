-- Places where users live or have lived, by the country that their events carry. Where they carry none, it is the one of the
-- reference data. A city with too few users to be named counts as 'Other' in its state.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'reference': true, 'tier': 'policy'},
    unique_key=['country', 'state', 'city']
) }}
{%- do open_window() %}

with homes as (
    select
        coalesce(users.country, registered.country, 'Unknown') as country,
        coalesce(users.state, 'Unknown') as state,
        coalesce(users.city, 'Unknown') as city,
        users.user_id
    from {{ ref('dim_users') }} as users
    left join {{ ref('stg_users') }} as registered on users.user_id = registered.user_id
)

select country, state, city
from homes
group by country, state, city
having count(distinct user_id) >= {{ var('min_cell_users') }}
union
select country, state, 'Other' as city from homes
union
select country, 'Other' as state, 'Other' as city from homes
union
select 'Other' as country, 'Other' as state, 'Other' as city
