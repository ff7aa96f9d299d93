-- Songs that are in the chart of a week (Friday to Thursday) and country, as it was published and as it is known now. It is
-- published on the Friday after it, at noon: it has the streams whose records are older.
{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens'], 'date': 'chart_week', 'period': 'chart_week'}
) }}
{%- set window = open_window() %}
{%- set paid, free = var('streams_of_a_point_paid'), var('streams_of_a_point_free') %}

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

placed as (
    select chart_week, country, song_key, is_paid, is_published from timed
    union all
    select chart_week, 'All' as country, song_key, is_paid, is_published from timed
),

counted as (
    select
        chart_week,
        country,
        song_key,
        count_if(is_paid and is_published) as published_paid_streams,
        count_if(not is_paid and is_published) as published_free_streams,
        count_if(is_paid) as paid_streams,
        count_if(not is_paid) as free_streams
    from placed
    group by chart_week, country, song_key
),

-- Points in whole numbers, so that equal ones are equal.
weighed as (
    select
        *,
        published_paid_streams * {{ free }} + published_free_streams * {{ paid }} as published_weight,
        paid_streams * {{ free }} + free_streams * {{ paid }} as weight
    from counted
),

ranked as (
    select
        *,
        rank() over (partition by chart_week, country order by published_weight desc) as published_rank,
        rank() over (partition by chart_week, country order by weight desc) as current_rank
    from weighed
)

select
    chart_week,
    country,
    song_key,
    published_paid_streams,
    published_free_streams,
    paid_streams,
    free_streams,
    case when published_weight > 0 and published_rank <= {{ var('chart_size') }} then published_rank end as published_rank,
    case when current_rank <= {{ var('chart_size') }} then current_rank end as current_rank
from ranked
where current_rank <= {{ var('chart_size') }} or (published_weight > 0 and published_rank <= {{ var('chart_size') }})
