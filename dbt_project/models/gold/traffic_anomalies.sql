-- Hours in which a state has many more or fewer plays than in the same hours of the weeks before. The deviation is that of the
-- simulator's quiet traffic, in which one user's visit has many plays: docs/reference/marts.md has the rate of false alarms.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'subjects': ['events', 'hours', 'spine'], 'after': range(0, 57, 7) | list,
        'date': 'activity_hour::date',
    }
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with counted as (
    select activity_hour, state, count(*) as plays
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', shifted(dates, range(-56, 1, 7))) }}
    group by activity_hour, state
),

as_of as (
    select
        max(last_record_at) as last_record_at,
        min(case when is_in_spine then activity_date end) as first_date
    from {{ ref('dim_dates') }}
),

weeks as (
    {{ numbers_below(9) }}
),

-- An hour's plays count for the same hour of its own week (n = 0) and of the eight following weeks.
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
        spread.activity_hour,
        spread.state,
        sum(spread.plays) as plays,
        sum(spread.plays_before) as total,
        least(8, floor(datediff('day', as_of.first_date, spread.activity_hour::date) / 7))::number(38, 0) as baseline_weeks
    from spread
    cross join as_of
    where
        {{ on_dates('spread.activity_hour::date', dates) }}
        and dateadd('hour', 1, spread.activity_hour) <= as_of.last_record_at
    group by spread.activity_hour, spread.state, as_of.first_date
),

expected as (
    select *, case when baseline_weeks >= 4 then total::float / baseline_weeks end as expected_plays from compared
),

scored as (
    select
        *,
        (plays - expected_plays) / nullif(sqrt(400 + 2 * expected_plays + expected_plays * expected_plays / 16), 0)
            as score
    from expected
)

select
    activity_hour,
    state,
    plays::number(38, 0) as plays,
    baseline_weeks,
    expected_plays,
    score,
    coalesce(abs(score) >= 3.9, false) as is_anomaly,
    true as is_complete
from scored
