-- One row for each page view, with the song where the page has one.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_rows',
    meta={'subjects': ['events', 'songs']},
    cluster_by=['activity_date']
) }}
{%- set window = open_window() %}
{%- set dates = dates_of_events(window) %}
{%- set dates_of_songs = [] if dates is none else touched_dates(window, ['songs']) %}

{% if dates_of_songs %}
with standing as (
    select event_id, song_key from {{ this }} where {{ on_dates('activity_date', dates_of_songs) }}
)

{% endif %}
select
    {{ who_and_where() }},
    events.page,
    events.status,
    {{ song_key() }} as song_key,
    events.artist,
    events.song,
    events.duration,
    events.listened_seconds,
    events.batch_id
from {{ ref('events') }} as events
left join {{ ref('song_names') }} as names on {{ on_names() }}
left join {{ ref('user_agents') }} as agents on events.user_agent = agents.user_agent
{% if dates_of_songs %}
left join standing on events.event_id = standing.event_id
{% endif %}
where
    events.event_kind = 'page_view'
    {% if dates is not none %}
    and (
        ({{ on_dates('events.activity_date', dates) }} and {{ arrived_in('events.', window) }})
        {% if dates_of_songs %}
        or ({{ on_dates('events.activity_date', dates_of_songs) }} and not equal_null({{ song_key() }}, standing.song_key))
        {% endif %}
    )
    {% endif %}
