{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'closed'], 'period': 'year', 'date': "date_from_parts(activity_year, 1, 1)"}
) }}
{%- set window = open_window() %}
{%- set years = dates_to_build(window) %}

with counted as (
    select year(activity_date) as activity_year, song_key, sum(plays) as plays
    from {{ ref('top_songs_daily') }}
    where plays > 0 and {{ in_years('activity_date', years) }}
    group by 1, 2
),

ranked as (
    select
        *,
        rank() over (partition by activity_year order by plays desc) as song_rank
    from counted
)

select
    ranked.activity_year,
    ranked.song_rank,
    ranked.song_key,
    songs.song_title,
    songs.artist_id,
    songs.artist_name,
    ranked.plays::number(38, 0) as plays,
    coalesce(last_dates.is_complete, false) as is_complete
from ranked
left join {{ ref('dim_songs') }} as songs on ranked.song_key = songs.song_key
left join {{ ref('dim_dates') }} as last_dates
    on date_from_parts(ranked.activity_year, 12, 31) = last_dates.activity_date
where ranked.song_rank <= 10
