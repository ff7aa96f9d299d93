-- Songs by suspicious streams. One with fewer accounts than a person could hide among is left out.
with accused as (
    select
        song_key,
        sum(streams) as suspicious_streams,
        count(distinct user_id) as accounts,
        sum(case when rule = 'cut' then streams else 0 end) as cut_streams,
        sum(case when rule = 'loop' then streams else 0 end) as looped_streams,
        sum(case when rule = 'habit' then streams else 0 end) as habit_streams
    from GOLD.SUSPICIOUS_STREAMS
    group by song_key
),

heard as (
    select
        song_key,
        max(song_title) as song_title,
        max(artist_id) as artist_id,
        max(artist_name) as artist_name,
        sum(streams) as streams
    from GOLD.TOP_SONGS_DAILY
    where activity_date < (select as_of from OPS.LEARNED where model = 'suspicious_streams')
    group by song_key
)

select
    heard.song_title,
    heard.artist_id,
    heard.artist_name,
    heard.streams,
    accused.suspicious_streams,
    accused.suspicious_streams / nullif(heard.streams, 0)::float as suspicious_share,
    accused.accounts,
    accused.cut_streams,
    accused.looped_streams,
    accused.habit_streams,
    (select sum(streams) from GOLD.SUSPICIOUS_STREAMS) as all_suspicious_streams,
    (select sum(streams) from heard) as all_streams
from accused
inner join heard on accused.song_key = heard.song_key
where accused.accounts >= :least_users and accused.suspicious_streams > 0
order by accused.suspicious_streams desc, heard.song_title, accused.song_key
limit 40
