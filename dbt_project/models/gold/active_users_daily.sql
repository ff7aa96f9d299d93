{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'live', 'spine': true, 'subjects': ['events', 'closed'], 'after': range(30) | list}
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with spine as (
    select activity_date, date_number, is_complete
    from (
        select activity_date, is_complete, row_number() over (order by activity_date) as date_number
        from {{ ref('dim_dates') }}
        where is_in_spine
    ) as dates
    where {{ on_dates('activity_date', dates) }}
),

user_dates as (
    select distinct activity_date, user_id
    from {{ ref('user_engagement_daily') }}
    where plays > 0 and {{ on_dates('activity_date', shifted(dates, range(-29, 1))) }}
),

-- A window counts a user once, by their latest active date. So each active date counts for `days`: until the user is active
-- again, at most 30.
spans as (
    select
        activity_date,
        least(30, coalesce(
            datediff('day', activity_date, lead(activity_date) over (partition by user_id order by activity_date)), 30
        )) as days
    from user_dates
),

span_counts as (
    select activity_date, days, count(*) as users from spans group by activity_date, days
),

counted as (
    select
        spine.activity_date,
        spine.date_number,
        spine.is_complete,
        coalesce(sum(case when span_counts.activity_date = spine.activity_date then span_counts.users end), 0)::number(38, 0)
            as daily_active_users,
        coalesce(sum(case
            when datediff('day', span_counts.activity_date, spine.activity_date) < least(span_counts.days, 7)
                then span_counts.users
        end), 0)::number(38, 0) as active_users_7d,
        coalesce(sum(case
            when datediff('day', span_counts.activity_date, spine.activity_date) < span_counts.days
                then span_counts.users
        end), 0)::number(38, 0) as active_users_30d
    from spine
    left join span_counts
        on
            span_counts.activity_date > dateadd('day', -30, spine.activity_date)
            and span_counts.activity_date <= spine.activity_date
    group by spine.activity_date, spine.date_number, spine.is_complete
)

select
    activity_date,
    daily_active_users,
    active_users_7d,
    active_users_30d,
    case
        when is_complete and date_number >= 30 and active_users_30d > 0 then daily_active_users::float / active_users_30d
    end as stickiness,
    is_complete
from counted
