-- The week in which each user registered, if all of that week is in the data: users of earlier weeks are known only if they
-- were still there.
{{ config(
    materialized='view',
    meta={'tier': 'policy'}
) }}

with users as (
    {{ registrations() }}
),

spine as (
    select min(activity_date) as first_date, max(activity_date) as last_date from {{ ref('dim_dates') }} where is_in_spine
)

select
    users.user_id,
    users.registered_on,
    users.country,
    dateadd('day', 1 - dayofweekiso(users.registered_on), users.registered_on)::date as cohort_week
from users
inner join spine
    on
        dateadd('day', 1 - dayofweekiso(users.registered_on), users.registered_on)::date >= spine.first_date
        and users.registered_on <= spine.last_date
