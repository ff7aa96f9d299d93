{#
Listens and page views are built for the events that have come, and those of events that are gone are taken away. Of the
others single rows may have to change: a song of theirs means another one now, or, of listens, the page view that ends them
has come or gone.
#}

{# Dates on which events came or went; none: everything is built. #}
{% macro dates_of_events(window) %}
    {% if touched_dates(window, ['songs']) is none %} {{ return(none) }} {% endif %}
    {{ return(touched_dates(window)) }}
{% endmacro %}

{# Dates of the sessions whose events came or went. #}
{% macro dates_of_changed_sessions(window) %}
    {% set found = run_query(
        "select distinct session_start::date, session_end::date from " ~ ref('sessions')
        ~ " where session_id in (" ~ changed_events(['session_id'], window) ~ ")"
    ) %}
    {% set dates = [] %}
    {% for row in found.rows %} {% do dates.extend(dates_between(row[0] | string, row[1] | string)) %} {% endfor %}
    {{ return(dates) }}
{% endmacro %}
