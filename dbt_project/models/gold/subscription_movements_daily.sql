{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'tier': 'policy', 'subjects': ['events', 'closed']},
    unique_key=['activity_date', 'plan', 'country']
) }}
{%- set window = open_window() %}

with moves as (
    select activity_date, plan, country, movement, 1 as change
    from {{ ref('subscriptions') }}
    where plan is not null
    union all
    select activity_date, plan_before, country_before, movement, -1 as change
    from {{ ref('subscriptions') }}
    where plan_before is not null
),

counted as (
    select
        activity_date,
        plan,
        country,
        count_if(movement = 'first_seen') as first_seen,
        count_if(movement = 'new') as new,
        count_if(movement = 'reactivated') as reactivated,
        count_if(movement = 'moved' and change > 0) as moved_in,
        count_if(movement = 'moved' and change < 0) as moved_out,
        count_if(movement = 'downgraded') as downgraded,
        count_if(movement = 'cancelled') as cancelled,
        sum(change) as net
    from moves
    group by activity_date, plan, country
),

cells as (
    select plan, country, min(activity_date) as first_date from counted group by plan, country
),

-- Every date of the spine, and those before it on which something moved, so that the balance is carried into the spine.
cell_dates as (
    select dates.activity_date, cells.plan, cells.country, dates.is_in_spine, dates.is_complete
    from cells
    inner join {{ ref('dim_dates') }} as dates on dates.activity_date >= cells.first_date
),

balanced as (
    select
        cell_dates.*,
        counted.first_seen,
        counted.new,
        counted.reactivated,
        counted.moved_in,
        counted.moved_out,
        counted.downgraded,
        counted.cancelled,
        coalesce(sum(counted.net) over (
            partition by cell_dates.plan, cell_dates.country order by cell_dates.activity_date
            rows between unbounded preceding and 1 preceding
        ), 0) as opening,
        coalesce(sum(counted.net) over (
            partition by cell_dates.plan, cell_dates.country order by cell_dates.activity_date
            rows between unbounded preceding and current row
        ), 0) as closing
    from cell_dates
    left join counted
        on
            cell_dates.activity_date = counted.activity_date
            and cell_dates.plan = counted.plan
            and cell_dates.country = counted.country
),

shown as (
    select * from balanced where is_in_spine
),

-- The price that holds on the date: of the country, or of all countries where it has none of its own by then.
priced as (
    select shown.activity_date, shown.plan, shown.country, prices.monthly_cents
    from shown
    inner join {{ ref('plan_prices') }} as prices
        on
            shown.plan = prices.plan
            and prices.country in (shown.country, 'All')
            and prices.valid_from <= shown.activity_date
    qualify row_number() over (
        partition by shown.activity_date, shown.plan, shown.country
        order by case when prices.country = 'All' then 1 else 0 end, prices.valid_from desc
    ) = 1
)

select
    shown.activity_date,
    shown.plan,
    shown.country,
    shown.opening::number(38, 0) as opening,
    coalesce(shown.first_seen, 0) as first_seen,
    coalesce(shown.new, 0) as new,
    coalesce(shown.reactivated, 0) as reactivated,
    coalesce(shown.moved_in, 0) as moved_in,
    coalesce(shown.moved_out, 0) as moved_out,
    coalesce(shown.downgraded, 0) as downgraded,
    coalesce(shown.cancelled, 0) as cancelled,
    shown.closing::number(38, 0) as closing,
    (shown.closing * priced.monthly_cents)::number(38, 0) as mrr_cents,
    shown.is_complete
from shown
left join priced
    on shown.activity_date = priced.activity_date and shown.plan = priced.plan and shown.country = priced.country
