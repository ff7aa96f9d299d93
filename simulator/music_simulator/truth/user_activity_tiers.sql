with counted as (select user_id, count(*) as plays, count(distinct day) as days_active from listen group by user_id)
select *, case when plays >= 1000 then 'heavy' when plays >= 100 then 'regular' else 'light' end as tier
from counted order by user_id
