-- The ten most played titles of a week.
set from_date = '2026-06-01';
set to_date = '2026-06-07';

select song_title, artist_name, sum(plays) as plays, sum(heard_seconds) as heard_seconds
from gold.top_songs_daily
where activity_date between $from_date::date and $to_date::date
group by song_key, song_title, artist_name
order by plays desc, song_key
limit 10;
