{# Order of the records of one event_id: the first one wins. Files sort last. #}
{% macro arrival_order() -%}
    case source when 'kafka' then 0 else 1 end, kafka_timestamp, kafka_topic, kafka_partition, kafka_offset,
    source_file, source_line
{%- endmacro %}

{# Columns of an event that say where its record comes from, not what happened. #}
{% macro origin_columns() %}
    {{ return([
        'redrive_of', 'source', 'kafka_topic', 'kafka_topic_id', 'kafka_partition', 'kafka_offset', 'kafka_timestamp',
        'source_file', 'source_line', 'batch_id',
    ]) }}
{% endmacro %}

{# Order of a visitor's events. The last one of a session gives its level. #}
{% macro event_order() -%} event_time, item_in_session, event_kind, event_id {%- endmacro %}

{# Who an event belongs to: its user; without one, the only user of its session number, or a guest. Needs the relations `events`
and `owners` (model session_users). #}
{% macro visitor() -%} coalesce(events.user_id, owners.user_id, 'guest-' || events.session_id::varchar) {%- endmacro %}

{# Page views that end a song, besides the start of another one. #}
{% macro ends_a_song(page) -%} {{ page }} in ('Skip', 'Logout', 'Cancel', 'Playback End') {%- endmacro %}

{# Whether an event starts a song: a listen, or its page view. #}
{% macro starts_a_song() -%} (event_kind = 'listen' or (event_kind = 'page_view' and page = 'NextSong')) {%- endmacro %}

{# A song plays for at most this long, so that a wrong length does not join the visits of days. #}
{% macro longest_play_minutes() %} {{ return(720) }} {% endmacro %}

{# Until when a song plays that an event starts, or the time of the event that ends it; NULL for all other events. #}
{% macro plays_until() -%}
    case
        when {{ starts_a_song() }} then dateadd(
            'millisecond',
            least(coalesce(round(duration * 1000), 0), {{ longest_play_minutes() * 60000 }})::number(38, 0), event_time
        )
        when event_kind = 'page_view' and {{ ends_a_song('page') }} then event_time
    end
{%- endmacro %}

{# 30 minutes or more without an event, and with nothing playing, start a new session. #}
{% macro opens_a_session(before, at) -%}
    coalesce(datediff('millisecond', {{ before }}, {{ at }}) >= 1800000, false)
{%- endmacro %}

{# Columns that listens and page views share. Needs the relations `events` and `agents` (model user_agents). #}
{% macro who_and_where() -%}
    events.event_id,
    events.event_time,
    events.activity_date,
    events.activity_hour,
    events.user_id,
    events.session_id,
    events.item_in_session,
    coalesce(events.level, 'Unknown') as level,
    coalesce(events.gender, 'Unknown') as gender,
    coalesce(events.country, 'Unknown') as country,
    coalesce(events.state, 'Unknown') as state,
    coalesce(events.city, 'Unknown') as city,
    case when events.device_type is not null or events.device_os is not null
        then coalesce(events.device_type, 'Other') else coalesce(agents.device_type, 'Other') end as device_type,
    case when events.device_type is not null or events.device_os is not null
        then coalesce(events.device_os, 'Other') else coalesce(agents.device_os, 'Other') end as device_os
{%- endmacro %}

{# The level after a status change. Before version 3 it carries the old level only: of free and paid, the new one is the other.
NULL if it is not known. #}
{% macro level_after() -%}
    coalesce(level_after, case level when 'free' then 'paid' when 'paid' then 'free' end)
{%- endmacro %}

{# Order of a user's states. #}
{% macro state_order() -%} event_time, session_id, item_in_session, event_kind, event_id {%- endmacro %}
