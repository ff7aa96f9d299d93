-- Plays and streams of the latest date, by state, of some listens.
select state, count(*) as plays, count_if(is_stream) as streams
from SILVER.LISTENS
where activity_date = :last_date/*narrowed*/
group by state
order by plays desc, state
