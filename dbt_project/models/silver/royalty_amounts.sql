-- What each song gets of a month's pool in each statement: in the month's own, and what later statements add or take because
-- streams were recorded after it was closed. Whole cents, by the largest remainder, so each month's pool is given out exactly.
-- A month has the streams of the eleven before it in its minimum, so a touched date changes the eleven months after it too.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'subjects': ['events', 'songs', 'listens'], 'date': 'activity_month', 'period': 'month',
        'after': range(0, 337, 28) | list,
    }
) }}
{%- set window = open_window() %}
{%- set pool = var('royalty_pool_cents') %}

with past as (
    select *
    from {{ ref('royalty_streams') }}
    where {{ on_dates('activity_month', months_up_to(dates_to_build(window), 11)) }}
),

arrived as (
    select * from past where {{ on_dates('activity_month', dates_to_build(window)) }}
),

statements as (
    select distinct activity_month, country, plan, statement_month from arrived
),

-- Songs with enough streams in the twelve months that end with the month, in all countries and plans, by what a statement
-- knows.
common as (
    select statements.activity_month, statements.statement_month, past.song_key
    from (select distinct activity_month, statement_month from statements) as statements
    inner join past
        on
            past.activity_month between dateadd('month', -11, statements.activity_month)::date and statements.activity_month
            and past.statement_month <= statements.statement_month
    group by statements.activity_month, statements.statement_month, past.song_key
    having sum(past.streams) >= {{ var('royalty_least_streams') }}
),

-- All that a statement knows of them.
known as (
    select
        statements.activity_month,
        statements.statement_month,
        statements.country,
        statements.plan,
        arrived.user_id,
        arrived.song_key,
        sum(arrived.streams)::number(38, 0) as streams
    from statements
    inner join arrived
        on
            statements.activity_month = arrived.activity_month
            and statements.country = arrived.country
            and statements.plan = arrived.plan
            and arrived.statement_month <= statements.statement_month
    inner join common
        on
            statements.activity_month = common.activity_month
            and statements.statement_month = common.statement_month
            and arrived.song_key = common.song_key
    group by
        statements.activity_month, statements.statement_month, statements.country, statements.plan, arrived.user_id,
        arrived.song_key
),

-- Each user's month is worth a billion parts, by the user's own streams.
parted as (
    select
        *,
        streams * 1000000000 as parts_of_streams,
        sum(streams) over (partition by activity_month, statement_month, country, plan, user_id)::number(38, 0) as user_streams
    from known
),

songs as (
    select
        activity_month,
        statement_month,
        country,
        plan,
        song_key,
        sum(streams)::number(38, 0) as streams,
        sum(round((parts_of_streams - mod(parts_of_streams, user_streams)) / nullif(user_streams, 0)))::number(38, 0) as parts
    from parted
    group by activity_month, statement_month, country, plan, song_key
),

shared as (
    select
        *,
        (streams * {{ pool }})::number(38, 0) as pro_rata_dividend,
        sum(streams) over (partition by activity_month, statement_month, country, plan)::number(38, 0) as pro_rata_divisor,
        (parts * {{ pool }})::number(38, 0) as user_centric_dividend,
        sum(parts) over (partition by activity_month, statement_month, country, plan)::number(38, 0) as user_centric_divisor
    from songs
),

divided as (
    select
        *,
        {% for way in ['pro_rata', 'user_centric'] %}
        mod({{ way }}_dividend, {{ way }}_divisor) as {{ way }}_rest,
        round(
            ({{ way }}_dividend - mod({{ way }}_dividend, {{ way }}_divisor)) / nullif({{ way }}_divisor, 0)
        )::number(38, 0) as {{ way }}_floor{{ ',' if not loop.last }}
        {% endfor %}
    from shared
),

rounded as (
    select
        activity_month,
        statement_month,
        country,
        plan,
        song_key,
        streams,
        {% for way in ['pro_rata', 'user_centric'] %}
        {{ way }}_floor + case
            when
                row_number() over (
                    partition by activity_month, statement_month, country, plan order by {{ way }}_rest desc, song_key
                ) <= {{ pool }} - sum({{ way }}_floor) over (partition by activity_month, statement_month, country, plan)
                then 1
            else 0
        end as {{ way }}_cents{{ ',' if not loop.last }}
        {% endfor %}
    from divided
),

compared as (
    select
        *,
        {% for column in ['streams', 'pro_rata_cents', 'user_centric_cents'] %}
        coalesce(lag({{ column }}) over (
            partition by activity_month, country, plan, song_key order by statement_month
        ), 0) as {{ column }}_before{{ ',' if not loop.last }}
        {% endfor %}
    from rounded
)

select
    statement_month,
    activity_month,
    country,
    plan,
    song_key,
    (streams - streams_before)::number(38, 0) as streams,
    (pro_rata_cents - pro_rata_cents_before)::number(38, 0) as pro_rata_cents,
    (user_centric_cents - user_centric_cents_before)::number(38, 0) as user_centric_cents
from compared
where streams <> streams_before or pro_rata_cents <> pro_rata_cents_before or user_centric_cents <> user_centric_cents_before
