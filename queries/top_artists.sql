-- The ten most played artists of a week: by default the last seven complete dates. Listeners are not summed over dates,
-- since one person may listen on several.
set to_date = (select max(activity_date) from gold.daily_summary where is_complete);
set from_date = dateadd('day', -6, $to_date::date)::date;

select artist_name, sum(plays) as plays, max(unique_listeners) as most_listeners_on_a_date
from gold.top_artists_daily
where activity_date between $from_date::date and $to_date::date
group by artist_id, artist_name
order by plays desc, artist_id
limit 10;
