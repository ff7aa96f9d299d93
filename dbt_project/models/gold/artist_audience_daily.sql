{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'subjects': ['events', 'songs', 'listens', 'artist_firsts', 'closed', 'spine'], 'after': range(28) | list,
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
        listens.city,
        count_if(listens.is_stream) as streams
    from {{ ref('listens') }} as listens
    inner join {{ ref('dim_songs') }} as songs on listens.song_key = songs.song_key
    where listens.user_id is not null and {{ on_dates('listens.activity_date', shifted(dates, range(-27, 1))) }}
    group by listens.activity_date, songs.artist_id, listens.user_id, listens.country, listens.state, listens.city
),

windows as (
    select
        spine.activity_date,
        spine.is_complete,
        heard.artist_id,
        heard.user_id,
        heard.country,
        heard.state,
        heard.city,
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

firsts as (
    select artist_id, user_id, first_on
    from {{ ref('artist_listeners') }}
    where {{ on_dates('first_on', shifted(dates, range(-27, 1))) }}
),

counted as (
    select
        activity_date,
        is_complete,
        artist_id,
        count(*) as listeners_28d,
        count_if(is_new) as new_listeners,
        sum(streams)::number(38, 0) as streams_28d,
        count_if(days >= {{ var('super_listener_days') }}) as super_listeners,
        count_if(days >= {{ var('moderate_listener_days') }} and days < {{ var('super_listener_days') }})
            as moderate_listeners,
        count_if(days < {{ var('moderate_listener_days') }}) as light_listeners
    from (
        select listeners.*, firsts.user_id is not null as is_new
        from listeners
        left join firsts
            on
                listeners.artist_id = firsts.artist_id
                and listeners.user_id = firsts.user_id
                and firsts.first_on between dateadd('day', -27, listeners.activity_date) and listeners.activity_date
    ) as judged
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
),

{% endfor %}
cities as (
    select activity_date, artist_id, city, state, count(distinct user_id) as users
    from windows
    where city <> 'Unknown' and state <> 'Unknown'
    group by activity_date, artist_id, city, state
    having count(distinct user_id) >= {{ var('min_cell_users') }}
    qualify row_number() over (partition by activity_date, artist_id order by users desc, state, city) = 1
)

select
    counted.activity_date,
    counted.artist_id,
    artists.artist_name,
    counted.listeners_28d,
    counted.new_listeners,
    counted.streams_28d,
    counted.super_listeners,
    counted.moderate_listeners,
    counted.light_listeners,
    countries.country as top_country,
    states.state as top_state,
    cities.city || ', ' || cities.state as top_city,
    counted.is_complete
from counted
left join countries on counted.activity_date = countries.activity_date and counted.artist_id = countries.artist_id
left join states on counted.activity_date = states.activity_date and counted.artist_id = states.artist_id
left join cities on counted.activity_date = cities.activity_date and counted.artist_id = cities.artist_id
left join {{ ref('dim_artists') }} as artists on counted.artist_id = artists.artist_id
