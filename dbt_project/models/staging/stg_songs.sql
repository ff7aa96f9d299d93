select
    songs.song_id,
    songs.title,
    songs.artist_id,
    artists.name as artist_name,
    songs.duration::number(18, 6) as duration,
    songs.genre,
    songs.release_year,
    songs.label
from {{ source('raw', 'songs') }} as songs
left join {{ source('raw', 'artists') }} as artists on songs.artist_id = artists.artist_id
