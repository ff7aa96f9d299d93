-- Who listens, by gender and level.
select gender, level, sum(plays) as plays, sum(streams) as streams
from GOLD.DEMOGRAPHICS_DAILY
where activity_date between :start and :end/*narrowed*/
group by gender, level
order by gender, level
