{#
A build of listens or page views adds the rows of events that arrived and deletes those of events that were displaced. Single
other rows may change too: when their song name now refers to another song, or, for listens, when an event that
starts, pauses or ends their song or the next one arrived or was displaced.
#}

{# Dates on which events were added or removed; none means that everything is built. #}
{% macro dates_of_events(window) %}
    {% if touched_dates(window, ['songs']) is none %} {{ return(none) }} {% endif %}
    {{ return(touched_dates(window)) }}
{% endmacro %}

{# Dates of the sessions that had events added or removed. #}
{% macro dates_of_changed_sessions(window) %}
    {% set found = run_query(
        "select distinct session_start::date, session_end::date from " ~ ref('sessions')
        ~ " where session_id in (" ~ changed_events(['session_id'], window) ~ ")"
    ) %}
    {% set dates = [] %}
    {% for row in found.rows %} {% do dates.extend(dates_between(row[0] | string, row[1] | string)) %} {% endfor %}
    {{ return(dates) }}
{% endmacro %}
