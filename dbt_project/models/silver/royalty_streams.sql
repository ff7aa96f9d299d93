-- Eligible streams by the month and user, and by the statement that is the first to know them: the month's own, or the one
-- that was open when they were recorded.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens'], 'date': 'activity_month', 'period': 'month'}
) }}
{%- set window = open_window() %}

with eligible as (
    select
        date_trunc('month', activity_date)::date as activity_month,
        date_trunc('month', dateadd('day', -{{ var('royalty_close_days') }}, recorded_at))::date as recorded_month,
        country,
        level as plan,
        user_id,
        song_key
    from {{ ref('listens') }}
    where
        is_stream
        and user_id is not null
        and {{ on_dates('activity_date', dates_of('month', dates_to_build(window))) }}
    qualify
        row_number() over (partition by activity_date, user_id, song_key order by event_time, event_id)
        <= {{ var('streams_of_a_song_and_day') }}
)

select
    activity_month,
    greatest(activity_month, recorded_month) as statement_month,
    country,
    plan,
    user_id,
    song_key,
    count(*) as streams
from eligible
group by activity_month, statement_month, country, plan, user_id, song_key
