-- The charts of the weeks that are published. Edition 'published' has what was recorded by then; edition 'current' has what
-- arrived later too, with the reason of each difference.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens', 'hours']},
    unique_key=['chart_week', 'country', 'genre', 'edition', 'song_key']
) }}
{%- set window = open_window() %}

with as_of as (
    select max(last_record_at) as last_record_at from {{ ref('dim_dates') }}
),

published as (
    select weeks.*
    from {{ ref('chart_weeks') }} as weeks
    cross join as_of
    where dateadd('hour', 12, dateadd('day', 7, weeks.chart_week)::timestamp_ntz) <= as_of.last_record_at
),

editions as (
    select
        chart_week,
        country,
        genre,
        streams_of_a_point_paid,
        streams_of_a_point_free,
        'published' as edition,
        song_key,
        published_rank as chart_rank,
        published_paid_streams as paid_streams,
        published_free_streams as free_streams,
        null as reason
    from published
    where published_rank is not null
    union all
    select
        chart_week,
        country,
        genre,
        streams_of_a_point_paid,
        streams_of_a_point_free,
        'current' as edition,
        song_key,
        current_rank as chart_rank,
        paid_streams,
        free_streams,
        case
            when paid_streams <> published_paid_streams or free_streams <> published_free_streams then 'late streams'
            when not equal_null(current_rank, published_rank) then 'other songs'
        end as reason
    from published
    where current_rank is not null
),

followed as (
    select
        *,
        lag(chart_week) over (partition by country, genre, edition, song_key order by chart_week) as week_before,
        lag(chart_rank) over (partition by country, genre, edition, song_key order by chart_week) as rank_before,
        min(chart_rank) over (
            partition by country, genre, edition, song_key order by chart_week rows between unbounded preceding and current row
        ) as peak_rank,
        row_number() over (partition by country, genre, edition, song_key order by chart_week) as weeks_on_chart
    from editions
)

select
    followed.chart_week,
    followed.country,
    followed.genre,
    followed.edition,
    followed.song_key,
    songs.song_title,
    songs.artist_id,
    songs.artist_name,
    followed.chart_rank,
    case when followed.week_before = dateadd('day', -7, followed.chart_week)::date then followed.rank_before end
        as previous_rank,
    followed.peak_rank,
    followed.weeks_on_chart,
    followed.weeks_on_chart = 1 as is_new,
    followed.paid_streams,
    followed.free_streams,
    followed.paid_streams::float / nullif(followed.streams_of_a_point_paid, 0)
        + followed.free_streams::float / nullif(followed.streams_of_a_point_free, 0) as points,
    followed.reason,
    true as is_complete
from followed
left join {{ ref('dim_songs') }} as songs on followed.song_key = songs.song_key
