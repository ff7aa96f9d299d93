{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'closed'], 'period': 'year', 'date': "date_from_parts(activity_year, 1, 1)"}
) }}
{%- set window = open_window() %}
{%- set years = dates_to_build(window) %}

with counted as (
    select year(activity_date) as activity_year, artist_id, sum(plays) as plays
    from {{ ref('top_artists_daily') }}
    where plays > 0 and {{ in_years('activity_date', years) }}
    group by 1, 2
),

ranked as (
    select
        *,
        rank() over (partition by activity_year order by plays desc) as artist_rank
    from counted
)

select
    ranked.activity_year,
    ranked.artist_rank,
    ranked.artist_id,
    artists.artist_name,
    ranked.plays::number(38, 0) as plays,
    coalesce(last_dates.is_complete, false) as is_complete
from ranked
left join {{ ref('dim_artists') }} as artists on ranked.artist_id = artists.artist_id
left join {{ ref('dim_dates') }} as last_dates
    on date_from_parts(ranked.activity_year, 12, 31) = last_dates.activity_date
where ranked.artist_rank <= 10
