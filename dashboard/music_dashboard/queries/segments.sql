-- Segments of listeners by taste. One of fewer users than a person could hide among is left out.
select segment, name, count(*) as users, avg(closeness) as closeness
from GOLD.LISTENER_SEGMENTS
group by segment, name
having count(*) >= :least_users
order by segment
