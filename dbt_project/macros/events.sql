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

{# Who an event belongs to, whether logged in or not. #}
{% macro visitor() -%} coalesce(user_id, 'guest-' || session_id::varchar) {%- endmacro %}

{# A pause of 30 minutes or more starts a new session. #}
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
    events.visitor,
    events.session_id,
    events.item_in_session,
    coalesce(events.level, 'Unknown') as level,
    coalesce(events.gender, 'Unknown') as gender,
    coalesce(events.state, 'Unknown') as state,
    coalesce(events.city, 'Unknown') as city,
    case when events.device_type is not null or events.device_os is not null
        then coalesce(events.device_type, 'Other') else coalesce(agents.device_type, 'Other') end as device_type,
    case when events.device_type is not null or events.device_os is not null
        then coalesce(events.device_os, 'Other') else coalesce(agents.device_os, 'Other') end as device_os
{%- endmacro %}

{# A status change carries the old level. The new level is the other one. #}
{% macro other_level(level) -%} case {{ level }} when 'free' then 'paid' else 'free' end {%- endmacro %}
