-- Plays and streams of the latest date, by state. Users of a state's cities cannot be added up.
select state, sum(plays) as plays, sum(streams) as streams
from GOLD.DEMOGRAPHICS_DAILY
where activity_date = :last_date/*narrowed*/
group by state
order by plays desc, state
