{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens']}
) }}
{%- set window = open_window() %}

select
    listens.activity_date,
    songs.genre,
    count(*) as plays,
    count_if(listens.is_stream) as streams,
    count(distinct listens.user_id) as unique_listeners
from {{ ref('listens') }} as listens
inner join {{ ref('dim_songs') }} as songs on listens.song_key = songs.song_key
where {{ on_dates('listens.activity_date', dates_to_build(window)) }}
group by listens.activity_date, songs.genre
