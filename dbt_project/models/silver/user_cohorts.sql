-- The week in which each user registered, if all of that week is in the data: users of earlier weeks are known only if they
-- were still there.
{{ config(
    materialized='view',
    meta={'tier': 'policy'}
) }}

with users as (
    select user_id, min(registered_at)::date as registered_on
    from {{ ref('dim_users') }}
    where registered_at is not null
    group by user_id
),

spine as (
    select min(activity_date) as first_date, max(activity_date) as last_date from {{ ref('dim_dates') }} where is_in_spine
)

select
    users.user_id,
    users.registered_on,
    dateadd('day', 1 - dayofweekiso(users.registered_on), users.registered_on)::date as cohort_week
from users
inner join spine
    on
        dateadd('day', 1 - dayofweekiso(users.registered_on), users.registered_on)::date >= spine.first_date
        and users.registered_on <= spine.last_date
