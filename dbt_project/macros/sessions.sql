{# What sessions depend on: events, and which visitor the events without a user belong to. #}
{% macro session_subjects() %} {{ return(['events', 'visitors']) }} {% endmacro %}

{# Condition on silver.sessions: session number of a changed event, and near enough to a touched date that an event
of that date, or what it started to play, may belong to the session. #}
{% macro reached_sessions(window) -%}
    {%- set dates = touched_dates(window, session_subjects()) -%}
    {%- if dates is none -%} true
    {%- elif not dates -%} false
    {%- else -%}
    (
        session_id in ({{ changed_events(['session_id'], window) }})
        and ({{ near_dates(dates, '30') }})
    )
    {%- if rebuilt_dates(window) %} or {{ near_dates(rebuilt_dates(window), '30') }} {%- endif %}
    {%- endif -%}
{%- endmacro %}

{# Whether a session overlaps one of the dates or is within `minutes` of one, or of what began to play on it. #}
{% macro near_dates(dates, minutes) -%}
    {%- for first, last in date_ranges(dates) -%}
    (
        session_end >= dateadd('minute', -{{ minutes }}, '{{ first }}'::timestamp_ntz)
        and session_start <= dateadd('minute', {{ 1440 + (minutes | int) + longest_play_minutes() }}, '{{ last }}'::timestamp_ntz)
    ){{ ' or ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Dates from the first to the last event of the session numbers that had events added or removed, by session_users. #}
{% macro dates_of_session_numbers(window) %}
    {% set found = run_query(
        "select distinct first_date, last_date from " ~ this ~ " where session_id in (" ~ changed_events(['session_id'], window) ~ ")"
    ) %}
    {% set dates = [] %}
    {% for row in found.rows %} {% do dates.extend(dates_between(row[0] | string, row[1] | string)) %} {% endfor %}
    {{ return(dates | unique | sort) }}
{% endmacro %}

{% macro dates_of_reached_sessions(window) %}
    {% if not is_building() %} {{ return([]) }} {% endif %}
    {% set found = run_query(
        "select distinct session_start::date, session_end::date from " ~ this ~ " where " ~ reached_sessions(window)
    ) %}
    {% set dates = [] %}
    {% for row in found.rows %} {% do dates.extend(dates_between(row[0] | string, row[1] | string)) %} {% endfor %}
    {{ return(in_few_ranges(dates)) }}
{% endmacro %}
