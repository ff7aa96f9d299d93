{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['cohort_week', 'activity_week']
) }}
{%- set window = open_window() %}

with sizes as (
    select cohort_week, count(*) as users from {{ ref('user_cohorts') }} group by cohort_week
),

-- All weeks from the first to the last listen.
weeks as (
    select distinct week_start as activity_week from {{ ref('dim_dates') }} where is_in_spine
),

returning_users as (
    select cohorts.cohort_week, seen.activity_week, count(*) as users
    from {{ ref('user_weeks') }} as seen
    inner join {{ ref('user_cohorts') }} as cohorts on seen.user_id = cohorts.user_id
    group by cohorts.cohort_week, seen.activity_week
)

select
    sizes.cohort_week,
    weeks.activity_week,
    (datediff('day', sizes.cohort_week, weeks.activity_week) / 7)::number(38, 0) as week_number,
    sizes.users,
    coalesce(returning_users.users, 0) as returning_users,
    case when last_dates.is_complete then coalesce(returning_users.users, 0)::float / nullif(sizes.users, 0) end
        as retention_rate,
    coalesce(last_dates.is_complete, false) as is_complete
from sizes
inner join weeks on weeks.activity_week >= sizes.cohort_week
left join {{ ref('dim_dates') }} as last_dates
    on {{ last_date_of('week', 'weeks.activity_week') }} = last_dates.activity_date
left join returning_users
    on sizes.cohort_week = returning_users.cohort_week and weeks.activity_week = returning_users.activity_week
