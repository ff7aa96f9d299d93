{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'subjects': ['events', 'hours'], 'after': [0, 7, 14, 21, 28], 'date': 'activity_hour::date',
    }
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with counted as (
    select activity_hour, state, count(*) as plays
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', shifted(dates, [-28, -21, -14, -7, 0])) }}
    group by activity_hour, state
),

as_of as (
    select max(last_record_at) as last_record_at from {{ ref('dim_dates') }}
),

weeks as (
    {{ numbers_below(5) }}
),

-- An hour's plays count for the same hour of its own week (n = 0) and of the four following weeks.
spread as (
    select
        dateadd('day', 7 * weeks.n, counted.activity_hour) as activity_hour,
        counted.state,
        case when weeks.n = 0 then counted.plays else 0 end as plays,
        case when weeks.n > 0 then counted.plays else 0 end as plays_before
    from counted
    cross join weeks
),

compared as (
    select
        activity_hour,
        state,
        sum(plays) as plays,
        sum(plays_before) as total,
        sum(plays_before * plays_before) as squares
    from spread
    where
        {{ on_dates('activity_hour::date', dates) }}
        and dateadd('hour', 1, activity_hour) <= (select as_of.last_record_at from as_of)
    group by activity_hour, state
),

scored as (
    select
        *,
        total::float / 4 as mean_plays,
        sqrt((4 * squares - total * total)::float) / 4 as deviation
    from compared
)

select
    activity_hour,
    state,
    plays::number(38, 0) as plays,
    mean_plays,
    deviation,
    (plays - mean_plays) / greatest(deviation, 1) as score,
    true as is_complete
from scored
