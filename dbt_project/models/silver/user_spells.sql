-- Spells of a user's activity: from an active date to the last one before 28 dates in a row without a listen.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_users',
    meta={'tier': 'policy'}
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }}

with days as (
    select
        weeks.user_id,
        dateadd('day', numbers.n, weeks.activity_week)::date as activity_date
    from {{ ref('user_weeks') }} as weeks
    inner join ({{ numbers_below(7) }}) as numbers on substr(weeks.active_dates, numbers.n + 1, 1) = '1'
    {% if touched_dates(window) is not none %}
    where weeks.user_id in ({{ changed_events(['user_id'], window) }})
    {% endif %}
),

spaced as (
    select
        user_id,
        activity_date,
        lag(activity_date) over (partition by user_id order by activity_date) as date_before
    from days
),

numbered as (
    select
        user_id,
        activity_date,
        sum(case when datediff('day', date_before, activity_date) <= 28 then 0 else 1 end) over (
            partition by user_id order by activity_date rows between unbounded preceding and current row
        )::number(38, 0) as spell_number
    from spaced
)

select
    user_id,
    spell_number,
    min(activity_date) as first_active_on,
    max(activity_date) as last_active_on
from numbered
group by user_id, spell_number
