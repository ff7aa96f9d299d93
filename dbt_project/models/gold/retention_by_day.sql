{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['cohort_week', 'country', 'day_number']
) }}
{%- set window = open_window() %}

with numbers as (
    select 1 as day_number
    union all
    select 7 as day_number
    union all
    select 14 as day_number
    union all
    select 28 as day_number
    union all
    select 90 as day_number
),

followed as (
    select
        cohorts.cohort_week,
        cohorts.country,
        numbers.day_number,
        coalesce(dates.is_complete, false) as is_old_enough,
        coalesce(substr(
            users.active_dates,
            datediff('day', users.first_active_on, dateadd('day', numbers.day_number, cohorts.registered_on)) + 1, 1
        ) = '1' and users.first_active_on <= dateadd('day', numbers.day_number, cohorts.registered_on), false) as has_returned,
        coalesce(users.last_active_on >= dateadd('day', numbers.day_number, cohorts.registered_on), false) as has_stayed
    from {{ ref('user_cohorts') }} as cohorts
    cross join numbers
    left join {{ ref('user_activity') }} as users on cohorts.user_id = users.user_id
    left join {{ ref('dim_dates') }} as dates
        on dateadd('day', numbers.day_number, cohorts.registered_on)::date = dates.activity_date
),

counted as (
    select
        cohort_week,
        country,
        day_number,
        count_if(is_old_enough) as eligible,
        count_if(is_old_enough and has_returned) as retained,
        count_if(is_old_enough and has_stayed) as retained_or_later
    from followed
    group by cohort_week, country, day_number
)

select
    counted.cohort_week,
    counted.country,
    counted.day_number,
    counted.eligible,
    counted.retained,
    counted.retained_or_later,
    case when last_dates.is_complete and counted.eligible > 0 then counted.retained::float / counted.eligible end
        as retention_rate,
    case when last_dates.is_complete and counted.eligible > 0 then counted.retained_or_later::float / counted.eligible end
        as rolling_retention_rate,
    coalesce(last_dates.is_complete, false) as is_complete
from counted
left join {{ ref('dim_dates') }} as last_dates
    on dateadd('day', 6 + counted.day_number, counted.cohort_week)::date = last_dates.activity_date
