with counted as (
    select year(day) as activity_year, song_id as song_key, title as song_title, artist_id, artist_name, count(*) as plays
    from listen group by all
)
select activity_year, rank() over (partition by activity_year order by plays desc) as song_rank, * exclude (activity_year),
    complete(make_date(activity_year + 1, 1, 1)) as is_complete
from counted qualify song_rank <= 10 order by activity_year, song_rank, song_key
