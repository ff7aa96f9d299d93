-- Every date from the first event to the last record. `is_in_spine` marks the marts' spine, from the first to the last listen.
-- A date is complete when a record has a later time, by Kafka's clock.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_calendar',
    unique_key=['activity_date'],
    pre_hook=["{{ note_everything('closed') }}", "{{ note_everything('hours') }}", "{{ note_everything('spine') }}"]
) }}
{%- set window = open_window() %}
{%- set dates = touched_dates(window) %}

with counted as (
    select
        activity_date,
        count(*) as events,
        count_if(event_kind = 'listen') as listens,
        max(coalesce(kafka_timestamp, event_time)) as last_record_at
    from {{ ref('events') }}
    where {{ on_dates('activity_date', dates) }}
    group by activity_date
    {% if dates is not none %}
    union all
    select activity_date, events, listens, last_record_at from {{ this }} where not ({{ on_dates('activity_date', dates) }})
    {% endif %}
),

bounds as (
    select
        min(case when events > 0 then activity_date end) as first_date,
        max(case when events > 0 then activity_date end) as last_date,
        min(case when listens > 0 then activity_date end) as first_listen,
        max(case when listens > 0 then activity_date end) as last_listen,
        max(last_record_at) as as_of
    from counted
),

numbers as (
    select row_number() over (order by seq4()) - 1 as n from table(generator(rowcount => 100000))
),

dates as (
    select
        dateadd('day', numbers.n, bounds.first_date)::date as activity_date,
        bounds.first_listen,
        bounds.last_listen,
        bounds.as_of
    from bounds
    inner join numbers on numbers.n <= datediff('day', bounds.first_date, greatest(bounds.last_date, bounds.as_of::date))
)

select
    dates.activity_date,
    year(dates.activity_date) as calendar_year,
    quarter(dates.activity_date) as calendar_quarter,
    month(dates.activity_date) as calendar_month,
    date_trunc('month', dates.activity_date)::date as month_start,
    yearofweekiso(dates.activity_date) as iso_year,
    weekiso(dates.activity_date) as iso_week,
    dayofweekiso(dates.activity_date) as iso_day_of_week,
    dateadd('day', 1 - dayofweekiso(dates.activity_date), dates.activity_date)::date as week_start,
    coalesce(dates.activity_date between dates.first_listen and dates.last_listen, false) as is_in_spine,
    dateadd('day', 1, dates.activity_date)::timestamp_ntz <= dates.as_of as is_complete,
    coalesce(counted.events, 0) as events,
    coalesce(counted.listens, 0) as listens,
    counted.last_record_at
from dates
left join counted on dates.activity_date = counted.activity_date
