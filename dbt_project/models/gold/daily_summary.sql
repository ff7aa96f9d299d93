{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'spine': true, 'subjects': ['events', 'listens', 'visitors', 'closed'], 'after': range(7) | list}
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}
{%- set read_dates = shifted(dates, range(-6, 1)) %}

with spine as (
    select
        activity_date,
        is_complete,
        row_number() over (order by activity_date) as date_number
    from {{ ref('dim_dates') }}
    where is_in_spine
),

listening as (
    select
        activity_date,
        sum(plays) as plays,
        sum(streams) as streams,
        count(distinct case when plays > 0 then user_id end) as active_users
    from {{ ref('user_engagement_daily') }}
    where {{ on_dates('activity_date', read_dates) }}
    group by activity_date
),

sessions as (
    select activity_date, count(*) as sessions
    from {{ ref('session_dates') }}
    where {{ on_dates('activity_date', read_dates) }}
    group by activity_date
),

counted as (
    select
        spine.activity_date,
        spine.date_number,
        spine.is_complete,
        coalesce(listening.plays, 0) as plays,
        coalesce(listening.streams, 0) as streams,
        coalesce(listening.active_users, 0) as active_users,
        coalesce(sessions.sessions, 0) as sessions
    from spine
    left join listening on spine.activity_date = listening.activity_date
    left join sessions on spine.activity_date = sessions.activity_date
    where {{ on_dates('spine.activity_date', read_dates) }}
),

-- The spine has no gaps, so the last seven date numbers are seven consecutive days.
compared as (
    select
        counted.activity_date,
        counted.date_number,
        counted.is_complete,
        max(case when earlier.date_number = counted.date_number then earlier.plays end) as plays,
        max(case when earlier.date_number = counted.date_number then earlier.streams end) as streams,
        max(case when earlier.date_number = counted.date_number then earlier.active_users end) as active_users,
        max(case when earlier.date_number = counted.date_number then earlier.sessions end) as sessions,
        max(case when earlier.date_number = counted.date_number - 1 then earlier.plays end) as plays_before,
        max(case when earlier.date_number = counted.date_number - 1 then earlier.active_users end) as active_users_before,
        max(case when earlier.date_number = counted.date_number - 1 then earlier.sessions end) as sessions_before,
        sum(earlier.plays) as plays_7d,
        sum(earlier.active_users) as active_users_7d,
        sum(earlier.sessions) as sessions_7d
    from counted
    inner join counted as earlier on earlier.date_number between counted.date_number - 6 and counted.date_number
    where {{ on_dates('counted.activity_date', dates) }}
    group by counted.activity_date, counted.date_number, counted.is_complete
)

select
    activity_date,
    plays::number(38, 0) as plays,
    streams::number(38, 0) as streams,
    active_users,
    sessions,
    case when is_complete then plays - plays_before end::number(38, 0) as plays_change,
    case when is_complete then active_users - active_users_before end as active_users_change,
    case when is_complete then sessions - sessions_before end as sessions_change,
    case when is_complete and date_number > 6 then plays_7d::float / 7 end as plays_7d_avg,
    case when is_complete and date_number > 6 then active_users_7d::float / 7 end as active_users_7d_avg,
    case when is_complete and date_number > 6 then sessions_7d::float / 7 end as sessions_7d_avg,
    is_complete
from compared
