-- Listens with the classic columns of small streaming pipelines: what was played, by whom and on which device.
{{ config(materialized='view', meta={'tier': 'live'}) }}

select
    listens.song_key as song_id,
    listens.user_id,
    listens.device_type as device,
    to_varchar(listens.event_time::timestamp_ntz, 'YYYY-MM-DD"T"HH24:MI:SS') as timestamp,
    to_json(events.extra) as _rescued_data,
    coalesce(users.country, events.country) as country,
    coalesce(events.level, users.level) as subscription,
    songs.song_title as title,
    songs.artist_name as artist,
    songs.genre,
    coalesce(catalogue.duration, listens.duration) as duration,
    listens.event_time
from {{ ref('listens') }} as listens
inner join {{ ref('events') }} as events on listens.event_id = events.event_id
left join {{ ref('dim_songs') }} as songs on listens.song_key = songs.song_key
left join {{ ref('stg_songs') }} as catalogue on listens.song_key = catalogue.song_id
left join {{ ref('stg_users') }} as users on listens.user_id = users.user_id
