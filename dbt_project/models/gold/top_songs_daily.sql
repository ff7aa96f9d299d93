{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'subjects': ['events', 'songs', 'listens', 'closed']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with listens as (
    select
        activity_date,
        song_key,
        count(*) as plays,
        count_if(is_stream) as streams,
        count(distinct user_id) as unique_listeners,
        sum(heard_seconds) as heard_seconds,
        sum(duration) as nominal_seconds
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', dates) }}
    group by activity_date, song_key
),

actions as (
    select
        activity_date,
        song_key,
        count_if(page = 'Skip') as skips,
        count_if(page = 'Pause') as pauses,
        count_if(page = 'Add to Playlist') as playlist_adds,
        count_if(page = 'Thumbs Up') as thumbs_up,
        count_if(page = 'Thumbs Down') as thumbs_down
    from {{ ref('page_views') }}
    where
        song_key is not null
        and page in ('Skip', 'Pause', 'Add to Playlist', 'Thumbs Up', 'Thumbs Down')
        and {{ on_dates('activity_date', dates) }}
    group by activity_date, song_key
),

counted as (
    select
        coalesce(listens.activity_date, actions.activity_date) as activity_date,
        coalesce(listens.song_key, actions.song_key) as song_key,
        coalesce(listens.plays, 0) as plays,
        coalesce(listens.streams, 0) as streams,
        coalesce(actions.skips, 0) as skips,
        coalesce(actions.pauses, 0) as pauses,
        coalesce(actions.playlist_adds, 0) as playlist_adds,
        coalesce(actions.thumbs_up, 0) as thumbs_up,
        coalesce(actions.thumbs_down, 0) as thumbs_down,
        coalesce(listens.unique_listeners, 0) as unique_listeners,
        coalesce(listens.heard_seconds, 0) as heard_seconds,
        coalesce(listens.nominal_seconds, 0) as nominal_seconds
    from listens
    full outer join actions
        on listens.activity_date = actions.activity_date and listens.song_key = actions.song_key
)

select
    counted.activity_date,
    counted.song_key,
    songs.song_title,
    songs.artist_id,
    songs.artist_name,
    counted.plays,
    counted.streams,
    counted.skips,
    counted.pauses,
    counted.playlist_adds,
    counted.thumbs_up,
    counted.thumbs_down,
    counted.unique_listeners,
    counted.heard_seconds::number(38, 6) as heard_seconds,
    counted.nominal_seconds::number(38, 6) as nominal_seconds,
    dates.is_complete
from counted
inner join {{ ref('dim_dates') }} as dates on counted.activity_date = dates.activity_date
left join {{ ref('dim_songs') }} as songs on counted.song_key = songs.song_key
