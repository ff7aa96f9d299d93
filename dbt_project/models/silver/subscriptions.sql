-- Changes of what a user subscribes to, at most one for each user and date: what is true after the date's last event, against
-- what was true before the date. A subscription is a level other than free, in a country, of a user who has not cancelled.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_users',
    meta={'tier': 'policy'}
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with states as (
    select
        user_id,
        activity_date,
        row_number() over (partition by user_id order by {{ state_order() }}) as state_number,
        case when event_kind = 'status_change' then level_after else level end as level_now,
        level,
        country,
        cancels
    from {{ ref('user_states') }}
    {% if touched_dates(window) is not none %}
    where user_id in ({{ changed_events(['user_id'], window) }})
    {% endif %}
),

known as (
    select
        *,
        last_value(level_now) ignore nulls over (
            partition by user_id order by state_number rows between unbounded preceding and current row
        ) as last_level,
        last_value(country) ignore nulls over (
            partition by user_id order by state_number rows between unbounded preceding and current row
        ) as last_country,
        first_value(level) ignore nulls over (
            partition by user_id order by state_number rows between unbounded preceding and unbounded following
        ) as first_level
    from states
),

dates as (
    select
        user_id,
        activity_date,
        case when last_level <> 'free' and not cancels then last_level end as plan,
        case when last_level <> 'free' and not cancels then coalesce(last_country, 'Unknown') end as country,
        cancels,
        first_level <> 'free' as began_with_a_plan
    from known
    qualify row_number() over (partition by user_id, activity_date order by state_number desc) = 1
),

compared as (
    select
        *,
        row_number() over (partition by user_id order by activity_date) as date_number,
        lag(plan) over (partition by user_id order by activity_date) as plan_before,
        lag(country) over (partition by user_id order by activity_date) as country_before,
        count(plan) over (
            partition by user_id order by activity_date rows between unbounded preceding and 1 preceding
        ) as dates_with_a_plan
    from dates
)

select
    user_id,
    activity_date,
    plan,
    country,
    plan_before,
    country_before,
    case
        when plan is null and cancels then 'cancelled'
        when plan is null then 'downgraded'
        when plan_before is not null then 'moved'
        when dates_with_a_plan > 0 then 'reactivated'
        when date_number = 1 and began_with_a_plan then 'first_seen'
        else 'new'
    end as movement
from compared
where not equal_null(plan, plan_before) or not equal_null(country, country_before)
