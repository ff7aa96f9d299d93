{{ config(
    materialized='incremental',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'spine': true}
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with spine as (
    select activity_date from {{ ref('dim_dates') }} where is_in_spine and {{ on_dates('activity_date', dates) }}
),

visits as (
    select activity_date, count_if(page_views > 0) as visitors
    from {{ ref('session_dates') }}
    where {{ on_dates('activity_date', dates) }}
    group by activity_date
),

pages as (
    select
        activity_date,
        count_if(page = 'Submit Registration') as registrations,
        count_if(page = 'Upgrade') as upgrade_views
    from {{ ref('page_views') }}
    where page in ('Submit Registration', 'Upgrade') and {{ on_dates('activity_date', dates) }}
    group by activity_date
),

changes as (
    select activity_date, count(*) as upgrades
    from {{ ref('level_changes') }}
    where level_before = 'free' and {{ on_dates('activity_date', dates) }}
    group by activity_date
),

counted as (
    select
        spine.activity_date,
        coalesce(visits.visitors, 0) as visitors,
        coalesce(pages.registrations, 0) as registrations,
        coalesce(pages.upgrade_views, 0) as upgrade_views,
        coalesce(changes.upgrades, 0) as upgrades
    from spine
    left join visits on spine.activity_date = visits.activity_date
    left join pages on spine.activity_date = pages.activity_date
    left join changes on spine.activity_date = changes.activity_date
)

select
    activity_date,
    visitors,
    registrations,
    upgrade_views,
    upgrades,
    case when visitors > 0 then registrations::float / visitors end as registration_rate,
    case when upgrade_views > 0 then upgrades::float / upgrade_views end as upgrade_rate,
    case when visitors > 0 then upgrades::float / visitors end as conversion_rate
from counted
