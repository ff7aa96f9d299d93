{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens', 'song_firsts', 'closed']}
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with heard as (
    select
        activity_date,
        song_key,
        country,
        level,
        user_id,
        is_stream,
        heard_seconds,
        not heard_is_estimated as is_known,
        heard_seconds < {{ var('stream_seconds') }} as is_short,
        coalesce(heard_seconds >= duration * 0.95, false) as is_completed
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', dates) }}
),

savers as (
    select distinct activity_date, song_key, country, level, user_id
    from {{ ref('page_views') }}
    where page = 'Add to Playlist' and song_key is not null and user_id is not null and {{ on_dates('activity_date', dates) }}
),

firsts as (
    select song_key, user_id, first_on from {{ ref('song_listeners') }} where {{ on_dates('first_on', dates) }}
),

counted as (
    select
        heard.activity_date,
        heard.song_key,
        heard.country,
        heard.level,
        count(*) as plays,
        count_if(heard.is_stream) as streams,
        count(distinct heard.user_id) as listeners,
        count(distinct firsts.user_id) as first_time_listeners,
        count(distinct savers.user_id) as savers,
        count_if(heard.is_known) as known_plays,
        count_if(heard.is_known and heard.is_short) as skips_before_30s,
        count_if(heard.is_known and heard.is_completed) as completed_plays,
        sum(heard.heard_seconds) as heard_seconds
    from heard
    left join savers
        on
            heard.activity_date = savers.activity_date
            and heard.song_key = savers.song_key
            and heard.country = savers.country
            and heard.level = savers.level
            and heard.user_id = savers.user_id
    left join firsts
        on heard.song_key = firsts.song_key and heard.user_id = firsts.user_id and heard.activity_date = firsts.first_on
    group by heard.activity_date, heard.song_key, heard.country, heard.level
)

select
    counted.activity_date,
    counted.song_key,
    songs.song_title,
    songs.artist_id,
    counted.country,
    counted.level,
    counted.plays,
    counted.streams,
    counted.listeners,
    counted.first_time_listeners,
    counted.savers,
    counted.known_plays,
    counted.skips_before_30s,
    counted.completed_plays,
    coalesce(counted.heard_seconds, 0)::number(38, 6) as heard_seconds,
    case when counted.known_plays > 0 then counted.skips_before_30s::float / counted.known_plays end as skip_30s_rate,
    case when counted.known_plays > 0 then counted.completed_plays::float / counted.known_plays end as completion_rate,
    case when counted.listeners > 0 then counted.savers::float / counted.listeners end as save_rate,
    case when counted.listeners > 0 then counted.streams::float / counted.listeners end as streams_per_listener,
    dates.is_complete
from counted
inner join {{ ref('dim_dates') }} as dates on counted.activity_date = dates.activity_date
left join {{ ref('dim_songs') }} as songs on counted.song_key = songs.song_key
