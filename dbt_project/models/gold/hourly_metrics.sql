{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'spine': true, 'subjects': ['events', 'listens', 'hours'], 'after': [0, 1], 'date': 'activity_hour::date'}
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with spine as (
    select activity_date, lag(activity_date) over (order by activity_date) as date_before
    from {{ ref('dim_dates') }}
    where is_in_spine
),

as_of as (
    select max(last_record_at) as last_record_at from {{ ref('dim_dates') }}
),

numbers as (
    {{ numbers_below(24) }}
),

hours as (
    select dateadd('hour', numbers.n, spine.activity_date::timestamp_ntz) as activity_hour, spine.date_before
    from spine
    cross join numbers
    where {{ on_dates('spine.activity_date', dates) }}
),

counted as (
    select activity_hour, count(*) as plays, count_if(is_stream) as streams, count(distinct user_id) as users
    from {{ ref('listens') }}
    where {{ on_dates('activity_date', shifted(dates, [-1, 0])) }}
    group by activity_hour
)

select
    hours.activity_hour,
    coalesce(counted.plays, 0) as plays,
    coalesce(counted.streams, 0) as streams,
    coalesce(counted.users, 0) as users,
    case when hours.date_before is not null then coalesce(previous.plays, 0) end as plays_previous_day,
    dateadd('hour', 1, hours.activity_hour) <= as_of.last_record_at as is_complete
from hours
cross join as_of
left join counted on hours.activity_hour = counted.activity_hour
left join counted as previous on dateadd('hour', -24, hours.activity_hour) = previous.activity_hour
-- Hours that have not begun yet have no row.
where hours.activity_hour <= as_of.last_record_at or counted.plays > 0
