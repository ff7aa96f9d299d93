-- Plays and streams of each minute of the latest hour with a listen and of the hour before.
select date_trunc('minute', event_time) as minute, count(*) as plays, count_if(is_stream) as streams
from SILVER.LISTENS
where activity_date between :previous_date and :latest_date
    and activity_hour between :previous_hour and :latest_hour/*narrowed*/
group by 1
order by 1
