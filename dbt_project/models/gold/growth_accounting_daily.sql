-- How the users who listened in the last 28 dates change from date to date. A spell of activity begins with a new or
-- resurrected user, and ends 28 dates after its last listen.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['activity_date']
) }}
{%- set window = open_window() %}

with moves as (
    select
        first_active_on as activity_date,
        case when spell_number = 1 then 1 else 0 end as new,
        case when spell_number > 1 then 1 else 0 end as resurrected,
        0 as churned
    from {{ ref('user_spells') }}
    union all
    select dateadd('day', 28, last_active_on)::date as activity_date, 0 as new, 0 as resurrected, 1 as churned
    from {{ ref('user_spells') }}
),

counted as (
    select activity_date, sum(new) as new, sum(resurrected) as resurrected, sum(churned) as churned
    from moves
    group by activity_date
),

spine as (
    select activity_date, is_complete, row_number() over (order by activity_date) as date_number
    from {{ ref('dim_dates') }}
    where is_in_spine
),

balanced as (
    select
        spine.*,
        coalesce(counted.new, 0) as new,
        coalesce(counted.resurrected, 0) as resurrected,
        coalesce(counted.churned, 0) as churned,
        sum(coalesce(counted.new, 0) + coalesce(counted.resurrected, 0) - coalesce(counted.churned, 0)) over (
            order by spine.activity_date rows between unbounded preceding and current row
        ) as closing
    from spine
    left join counted on spine.activity_date = counted.activity_date
)

select
    activity_date,
    (closing - new - resurrected + churned)::number(38, 0) as opening,
    new::number(38, 0) as new,
    resurrected::number(38, 0) as resurrected,
    churned::number(38, 0) as churned,
    (closing - new - resurrected)::number(38, 0) as retained,
    closing::number(38, 0) as closing,
    case when is_complete and date_number > 28 and churned > 0 then (new + resurrected)::float / churned end as quick_ratio,
    is_complete
from balanced
