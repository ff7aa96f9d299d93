-- The songs that go with a song. Two songs of fewer sessions than a person could hide among are left out.
select
    together.rank as place,
    songs.song_title,
    songs.artist_id,
    songs.artist_name,
    together.sessions,
    together.lift,
    together.score
from GOLD.SONGS_HEARD_TOGETHER as together
inner join SILVER.DIM_SONGS as songs on together.other_song_key = songs.song_key
where together.song_key = :song and together.sessions >= :least_users
order by together.rank
