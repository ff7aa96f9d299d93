-- Songs that are in the chart of a week (Friday to Thursday), country and genre, as it was published and as it is known
-- now. It is published on the Friday after it, at noon: it has the streams whose records are older.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens'], 'date': 'chart_week', 'period': 'chart_week'}
) }}
{%- set window = open_window() %}

with eligible as (
    select
        dateadd('day', -mod(dayofweekiso(activity_date) + 2, 7), activity_date)::date as chart_week,
        country,
        song_key,
        level not in ('free', 'Unknown') as is_paid,
        recorded_at
    from {{ ref('listens') }}
    where
        is_stream
        and user_id is not null
        and {{ on_dates('activity_date', dates_of('chart_week', dates_to_build(window))) }}
    qualify
        row_number() over (partition by activity_date, user_id, song_key order by event_time, event_id)
        <= {{ var('streams_of_a_song_and_day') }}
),

timed as (
    select *, recorded_at < dateadd('hour', 12, dateadd('day', 7, chart_week)::timestamp_ntz) as is_published from eligible
),

sorted as (
    select timed.*, coalesce(songs.genre, 'Unknown') as genre
    from timed
    left join {{ ref('dim_songs') }} as songs on timed.song_key = songs.song_key
),

-- A stream counts in four charts: of its country or all, and of its genre or all.
scopes as (
    select true as is_of_a_country, true as is_of_a_genre
    union all
    select true as is_of_a_country, false as is_of_a_genre
    union all
    select false as is_of_a_country, true as is_of_a_genre
    union all
    select false as is_of_a_country, false as is_of_a_genre
),

placed as (
    select
        sorted.chart_week,
        sorted.song_key,
        sorted.is_paid,
        sorted.is_published,
        case when scopes.is_of_a_country then sorted.country else 'All' end as country,
        case when scopes.is_of_a_genre then sorted.genre else 'All' end as genre
    from sorted
    cross join scopes
),

counted as (
    select
        chart_week,
        country,
        genre,
        song_key,
        count_if(is_paid and is_published) as published_paid_streams,
        count_if(not is_paid and is_published) as published_free_streams,
        count_if(is_paid) as paid_streams,
        count_if(not is_paid) as free_streams
    from placed
    group by chart_week, country, genre, song_key
),

-- What a stream is worth in the week.
worth as (
    select
        counted.*,
        weights.streams_of_a_point_paid,
        weights.streams_of_a_point_free
    from counted
    inner join {{ ref('chart_weights') }} as weights on weights.valid_from <= counted.chart_week
    qualify row_number() over (
        partition by counted.chart_week, counted.country, counted.genre, counted.song_key order by weights.valid_from desc
    ) = 1
),

-- Points in whole numbers, so that equal ones are equal.
weighed as (
    select
        *,
        published_paid_streams * streams_of_a_point_free + published_free_streams * streams_of_a_point_paid
            as published_weight,
        paid_streams * streams_of_a_point_free + free_streams * streams_of_a_point_paid as weight
    from worth
),

ranked as (
    select
        *,
        rank() over (partition by chart_week, country, genre order by published_weight desc) as published_rank,
        rank() over (partition by chart_week, country, genre order by weight desc) as current_rank
    from weighed
)

select
    chart_week,
    country,
    genre,
    song_key,
    streams_of_a_point_paid,
    streams_of_a_point_free,
    published_paid_streams,
    published_free_streams,
    paid_streams,
    free_streams,
    case when published_weight > 0 and published_rank <= {{ var('chart_size') }} then published_rank end as published_rank,
    case when current_rank <= {{ var('chart_size') }} then current_rank end as current_rank
from ranked
where current_rank <= {{ var('chart_size') }} or (published_weight > 0 and published_rank <= {{ var('chart_size') }})
