{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'spine': true, 'subjects': ['events', 'sessions', 'closed'], 'after': range(-31, 1) | list,
    }
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}
{%- set later_dates = shifted(dates, range(0, 32)) %}

with spine as (
    select dates.activity_date, coalesce(later.is_complete, false) as is_complete
    from {{ ref('dim_dates') }} as dates
    left join {{ ref('dim_dates') }} as later on dateadd('day', 30, dates.activity_date) = later.activity_date
    where dates.is_in_spine
),

sessions as (
    select
        *,
        session_start::date as activity_date,
        coalesce(last_registration_at > first_guest_view_at, false) as registers
    from {{ ref('sessions') }}
    where page_views > 0 and {{ on_dates('session_start::date', dates) }}
),

visits as (
    select
        activity_date,
        count(distinct visitor) as visitors,
        count(distinct case when first_guest_view_at is not null then session_id end) as guests,
        count(distinct case when registers then session_id end) as registrations
    from sessions
    group by activity_date
),

new_users as (
    select activity_date, user_id, min(last_registration_at) as registered_at
    from sessions
    where registers
    group by activity_date, user_id
),

-- Who registered and then saw the offer, and who saw it and then took it, each within 30 days of the registration.
viewers as (
    select new_users.activity_date, new_users.user_id, new_users.registered_at, min(views.event_time) as viewed_at
    from new_users
    inner join {{ ref('page_views') }} as views
        on
            new_users.user_id = views.user_id
            and views.event_time between new_users.registered_at and dateadd('day', 30, new_users.registered_at)
    where views.page = 'Upgrade' and {{ on_dates('views.activity_date', later_dates) }}
    group by new_users.activity_date, new_users.user_id, new_users.registered_at
),

buyers as (
    select distinct viewers.activity_date, viewers.user_id
    from viewers
    inner join {{ ref('level_changes') }} as changes
        on
            viewers.user_id = changes.user_id
            and changes.event_time between viewers.viewed_at and dateadd('day', 30, viewers.registered_at)
    where changes.level_before = 'free' and {{ on_dates('changes.activity_date', later_dates) }}
),

counted as (
    select
        spine.activity_date,
        coalesce(visits.visitors, 0) as visitors,
        coalesce(visits.guests, 0) as guests,
        coalesce(visits.registrations, 0) as registrations,
        coalesce(seen.users, 0) as upgrade_viewers_30d,
        coalesce(bought.users, 0) as upgraders_30d,
        spine.is_complete
    from spine
    left join visits on spine.activity_date = visits.activity_date
    left join (select activity_date, count(*) as users from viewers group by activity_date) as seen
        on spine.activity_date = seen.activity_date
    left join (select activity_date, count(*) as users from buyers group by activity_date) as bought
        on spine.activity_date = bought.activity_date
    where {{ on_dates('spine.activity_date', dates) }}
)

select
    activity_date,
    visitors,
    guests,
    registrations,
    upgrade_viewers_30d,
    upgraders_30d,
    is_complete,
    case when guests > 0 then registrations::float / guests end as registration_rate,
    case when is_complete and registrations > 0 then upgrade_viewers_30d::float / registrations end as upgrade_view_rate,
    case when is_complete and registrations > 0 then upgraders_30d::float / registrations end as conversion_rate
from counted
