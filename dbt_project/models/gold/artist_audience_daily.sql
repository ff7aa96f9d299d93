{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'subjects': ['events', 'songs', 'listens', 'closed', 'spine'], 'after': range(28) | list,
    }
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with spine as (
    select activity_date, is_complete from {{ ref('dim_dates') }} where is_in_spine and {{ on_dates('activity_date', dates) }}
),

user_dates as (
    select
        listens.activity_date,
        songs.artist_id,
        listens.user_id,
        listens.country,
        listens.state,
        count_if(listens.is_stream) as streams
    from {{ ref('listens') }} as listens
    inner join {{ ref('dim_songs') }} as songs on listens.song_key = songs.song_key
    where listens.user_id is not null and {{ on_dates('listens.activity_date', shifted(dates, range(-27, 1))) }}
    group by listens.activity_date, songs.artist_id, listens.user_id, listens.country, listens.state
),

windows as (
    select
        spine.activity_date,
        spine.is_complete,
        heard.artist_id,
        heard.user_id,
        heard.country,
        heard.state,
        heard.streams,
        heard.activity_date as heard_on
    from spine
    inner join user_dates as heard
        on heard.activity_date between dateadd('day', -27, spine.activity_date) and spine.activity_date
),

listeners as (
    select
        activity_date,
        is_complete,
        artist_id,
        user_id,
        sum(streams) as streams,
        count(distinct heard_on) as days
    from windows
    group by activity_date, is_complete, artist_id, user_id
),

counted as (
    select
        activity_date,
        is_complete,
        artist_id,
        count(*) as listeners_28d,
        sum(streams)::number(38, 0) as streams_28d,
        count_if(days >= {{ var('super_listener_days') }}) as super_listeners,
        count_if(days >= {{ var('moderate_listener_days') }} and days < {{ var('super_listener_days') }})
            as moderate_listeners,
        count_if(days < {{ var('moderate_listener_days') }}) as light_listeners
    from listeners
    group by activity_date, is_complete, artist_id
),

{% for place, places in [('country', 'countries'), ('state', 'states')] %}
{{ places }} as (
    select activity_date, artist_id, {{ place }}, count(distinct user_id) as users
    from windows
    where {{ place }} <> 'Unknown'
    group by activity_date, artist_id, {{ place }}
    having count(distinct user_id) >= {{ var('min_cell_users') }}
    qualify row_number() over (partition by activity_date, artist_id order by users desc, {{ place }}) = 1
){{ ',' if not loop.last }}
{% endfor %}

select
    counted.activity_date,
    counted.artist_id,
    artists.artist_name,
    counted.listeners_28d,
    counted.streams_28d,
    counted.super_listeners,
    counted.moderate_listeners,
    counted.light_listeners,
    countries.country as top_country,
    states.state as top_state,
    counted.is_complete
from counted
left join countries on counted.activity_date = countries.activity_date and counted.artist_id = countries.artist_id
left join states on counted.activity_date = states.activity_date and counted.artist_id = states.artist_id
left join {{ ref('dim_artists') }} as artists on counted.artist_id = artists.artist_id
