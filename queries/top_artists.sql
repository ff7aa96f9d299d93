-- The ten most played artists of a week. Listeners are not summed over dates, since one person may listen on several.
set from_date = '2026-06-01';
set to_date = '2026-06-07';

select artist_name, sum(plays) as plays, max(unique_listeners) as most_listeners_on_a_date
from gold.top_artists_daily
where activity_date between $from_date::date and $to_date::date
group by artist_id, artist_name
order by plays desc, artist_id
limit 10;
