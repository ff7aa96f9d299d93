-- Rule 14: a cell has min_cell_users() users; cities with fewer are the others of their state, and so on.
with located as (select day, coalesce(country, 'Unknown') as country, state, city, user_id, is_stream from listen),
of_city as (
    select day, country, state, city, count(distinct user_id) as users from located group by all
),
named as (
    select located.* replace (if(of_city.users < min_cell_users(), 'Other', city) as city)
    from located join of_city using (day, country, state, city)
),
of_state as (
    select day, country, state, count(distinct user_id) as users from named where city = 'Other' group by all
),
stated as (
    select named.* replace (if(city = 'Other' and of_state.users < min_cell_users(), 'Other', state) as state)
    from named left join of_state using (day, country, state)
),
of_country as (
    select day, country, count(distinct user_id) as users from stated where state = 'Other' group by all
),
placed as (
    select stated.* replace (if(state = 'Other' and of_country.users < min_cell_users(), 'Other', country) as country)
    from stated left join of_country using (day, country)
)
select
    day as activity_date, country, state, city,
    count(*) as plays, count(*) filter (where is_stream) as streams, count(distinct user_id) as users,
    complete(day + 1) as is_complete
from placed group by all order by activity_date, country, state, city
