-- The artists with the most streams in the last 28 days, to choose from.
select artist_id as value, artist_name as label
from GOLD.ARTIST_AUDIENCE_DAILY
where activity_date = (select max(activity_date) from GOLD.DAILY_SUMMARY)
order by streams_28d desc, artist_name, artist_id
limit 1000
