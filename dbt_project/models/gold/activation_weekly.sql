{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'sessions', 'listens', 'closed']},
    unique_key=['cohort_week', 'country']
) }}
{%- set window = open_window() %}

with steps as (
    select
        cohorts.cohort_week,
        cohorts.country,
        users.streams_24h > 0 as is_activated,
        users.third_session_at is not null as has_returned,
        users.upgrade_viewed_at is not null as has_viewed,
        users.upgraded_at is not null as has_upgraded,
        datediff('millisecond', users.registered_at, users.first_stream_at)::float / 3600000 as hours_to_stream,
        datediff('millisecond', users.registered_at, users.upgraded_at)::float / 3600000 as hours_to_upgrade
    from {{ ref('user_cohorts') }} as cohorts
    inner join {{ ref('activation') }} as users on cohorts.user_id = users.user_id
),

counted as (
    select
        cohort_week,
        country,
        count(*) as users,
        count_if(is_activated) as activated,
        count_if(is_activated and has_returned) as returned,
        count_if(has_viewed) as upgrade_viewers,
        count_if(has_upgraded) as upgraders,
        median(hours_to_stream) as median_hours_to_stream,
        median(hours_to_upgrade) as median_hours_to_upgrade
    from steps
    group by cohort_week, country
)

select
    counted.cohort_week,
    counted.country,
    counted.users,
    counted.activated,
    counted.returned,
    counted.upgrade_viewers,
    counted.upgraders,
    case when last_dates.is_complete and counted.users > 0 then counted.activated::float / counted.users end
        as activation_rate,
    case when last_dates.is_complete and counted.activated > 0 then counted.returned::float / counted.activated end
        as return_rate,
    case when last_dates.is_complete and counted.users > 0 then counted.upgrade_viewers::float / counted.users end
        as upgrade_view_rate,
    case when last_dates.is_complete and counted.users > 0 then counted.upgraders::float / counted.users end
        as free_to_paid_rate,
    case when last_dates.is_complete then counted.median_hours_to_stream end as median_hours_to_stream,
    case when last_dates.is_complete then counted.median_hours_to_upgrade end as median_hours_to_upgrade,
    coalesce(last_dates.is_complete, false) as is_complete
from counted
left join {{ ref('dim_dates') }} as last_dates on dateadd('day', 36, counted.cohort_week)::date = last_dates.activity_date
