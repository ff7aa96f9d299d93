{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'subjects': ['events', 'songs']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}

with counted as (
    select
        listens.activity_date,
        songs.artist_id,
        count(*) as plays,
        count(distinct listens.user_id) as unique_listeners,
        sum(listens.duration) as seconds
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
    counted.unique_listeners,
    coalesce(counted.seconds, 0)::number(38, 6) as seconds
from counted
left join {{ ref('dim_artists') }} as artists on counted.artist_id = artists.artist_id
