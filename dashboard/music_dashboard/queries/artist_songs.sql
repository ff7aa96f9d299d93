-- An artist's songs: streams, saves, and how many known plays end before 30 seconds.
select
    song_key,
    max(song_title) as song_title,
    sum(plays) as plays,
    sum(streams) as streams,
    sum(savers) as savers,
    sum(known_plays) as known_plays,
    sum(skips_before_30s) as skips_before_30s,
    sum(completed_plays) as completed_plays,
    sum(skips_before_30s) / nullif(sum(known_plays), 0) as skip_rate,
    sum(completed_plays) / nullif(sum(known_plays), 0) as completion_rate
from GOLD.SONG_PERFORMANCE_DAILY
where artist_id = :artist and activity_date between :start and :end/*narrowed*/
group by song_key
order by streams desc, song_title, song_key
limit 50
