{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'subjects': ['events', 'songs', 'listens', 'closed']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

with counted as (
    select
        listens.activity_date,
        songs.artist_id,
        count(*) as plays,
        count_if(listens.is_stream) as streams,
        count(distinct listens.user_id) as unique_listeners,
        sum(listens.heard_seconds) as heard_seconds,
        sum(listens.duration) as nominal_seconds
    from {{ ref('listens') }} as listens
    inner join {{ ref('dim_songs') }} as songs on listens.song_key = songs.song_key
    where {{ on_dates('listens.activity_date', dates_to_build(window)) }}
    group by listens.activity_date, songs.artist_id
)

select
    counted.activity_date,
    counted.artist_id,
    artists.artist_name,
    counted.plays,
    counted.streams,
    counted.unique_listeners,
    coalesce(counted.heard_seconds, 0)::number(38, 6) as heard_seconds,
    coalesce(counted.nominal_seconds, 0)::number(38, 6) as nominal_seconds,
    dates.is_complete
from counted
inner join {{ ref('dim_dates') }} as dates on counted.activity_date = dates.activity_date
left join {{ ref('dim_artists') }} as artists on counted.artist_id = artists.artist_id
