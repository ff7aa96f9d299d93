-- Who listens, by gender and level, of some listens.
select gender, level, count(*) as plays, count_if(is_stream) as streams
from SILVER.LISTENS
where activity_date between :start and :end/*narrowed*/
group by gender, level
order by gender, level
