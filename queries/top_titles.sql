-- The ten most played titles of a week: by default the last seven complete dates.
set to_date = (select max(activity_date) from gold.daily_summary where is_complete);
set from_date = dateadd('day', -6, $to_date::date)::date;

select song_title, artist_name, sum(plays) as plays, sum(heard_seconds) as heard_seconds
from gold.top_songs_daily
where activity_date between $from_date::date and $to_date::date
group by song_key, song_title, artist_name
order by plays desc, song_key
limit 10;
