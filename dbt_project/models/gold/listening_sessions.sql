{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['sessions'], 'date': 'session_start::date'},
    cluster_by=['session_start']
) }}
{%- set window = open_window() %}
{%- set dates = dates_to_build(window) %}

with sessions as (
    select * from {{ ref('sessions') }} where listens > 0 and {{ on_dates('session_start::date', dates) }}
),

heard as (
    select
        sessions.session_key,
        count(*) as plays,
        count_if(listens.is_stream) as streams,
        sum(listens.heard_seconds) as heard_seconds,
        sum(listens.duration) as nominal_seconds
    from sessions
    inner join {{ ref('listens') }} as listens
        on
            sessions.visitor = listens.user_id
            and sessions.session_id = listens.session_id
            and listens.event_time between sessions.session_start and sessions.session_end
    {% if dates %} where listens.activity_date >= '{{ dates | first }}'::date {% endif %}
    group by sessions.session_key
)

select
    sessions.session_key,
    sessions.user_id,
    sessions.session_id,
    sessions.session_start,
    sessions.session_end,
    heard.plays,
    heard.streams,
    coalesce(heard.heard_seconds, 0)::number(38, 6) as heard_seconds,
    coalesce(heard.nominal_seconds, 0)::number(38, 6) as nominal_seconds,
    coalesce(sessions.last_level, 'Unknown') as level
from sessions
inner join heard on sessions.session_key = heard.session_key
