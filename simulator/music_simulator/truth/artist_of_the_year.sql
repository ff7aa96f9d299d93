with counted as (
    select year(day) as activity_year, artist_id, artist_name, count(*) as plays from listen group by all
)
select activity_year, rank() over (partition by activity_year order by plays desc) as artist_rank, * exclude (activity_year),
    complete(make_date(activity_year + 1, 1, 1)) as is_complete
from counted qualify artist_rank <= 10 order by activity_year, artist_rank, artist_id
