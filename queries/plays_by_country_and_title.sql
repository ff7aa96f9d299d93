-- The most played titles of each country, all time. Events before version 3 of the contract carry no country.
select country, song_title, sum(plays) as plays
from gold.song_performance_daily
group by country, song_key, song_title
order by plays desc, country, song_key
limit 20;
