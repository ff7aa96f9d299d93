-- How much each user has listened in the 28 complete dates before the marts' own, and overall.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['user_id']
) }}
{%- set window = open_window() %}

with latest as (
    select max(last_record_at)::date as today from {{ ref('dim_dates') }}
),

recent as (
    select engagement.user_id, sum(engagement.plays) as plays, count(distinct engagement.activity_date) as days_active
    from {{ ref('user_engagement_daily') }} as engagement
    cross join latest
    where
        engagement.plays > 0
        and engagement.activity_date between dateadd('day', -28, latest.today) and dateadd('day', -1, latest.today)
    group by engagement.user_id
)

select
    users.user_id,
    users.plays,
    users.days_active,
    users.last_active_on,
    coalesce(recent.plays, 0)::number(38, 0) as plays_28d,
    coalesce(recent.days_active, 0)::number(38, 0) as days_active_28d,
    case
        when recent.plays >= {{ var('heavy_plays') }} then 'heavy'
        when recent.plays >= {{ var('regular_plays') }} then 'regular'
        when recent.plays > 0 then 'light'
        else 'inactive'
    end as tier
from {{ ref('user_activity') }} as users
left join recent on users.user_id = recent.user_id
