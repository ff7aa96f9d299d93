-- Rule 14: a cell has min_cell_users() users; cities with fewer are the others of their state, and so on.
with of_city as (
    select day, state, city, count(distinct user_id) as users from listen group by all
),
named as (
    select
        listen.day, listen.state, listen.user_id, listen.is_stream,
        if(of_city.users < min_cell_users(), 'Other', listen.city) as city
    from listen
    join of_city on of_city.day = listen.day and of_city.state = listen.state and of_city.city = listen.city
),
of_others as (
    select day, state, count(distinct user_id) as users from named where city = 'Other' group by all
)
select
    named.day as activity_date, if(of_others.users < min_cell_users(), 'Other', named.state) as state, named.city,
    count(*) as plays, count(*) filter (where is_stream) as streams, count(distinct named.user_id) as users, complete(named.day + 1) as is_complete
from named
left join of_others on of_others.day = named.day and of_others.state = named.state and named.city = 'Other'
group by all order by activity_date, state, city
