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

{# Dates on which other rows may have to change. For listens the model must read silver.sessions. #}
{% macro dates_of_other_rows(window) %}
    {% if dates_of_events(window) is none %} {{ return([]) }} {% endif %}
    {% set dates = touched_dates(window, ['songs']) | list %}
    {% if model.name == 'listens' %}
        {% set found = run_query(
            "select distinct session_start::date, session_end::date from " ~ ref('sessions')
            ~ " where session_id in (" ~ changed_events(['session_id'], window) ~ ")"
        ) %}
        {% for row in found.rows %} {% do dates.extend(dates_between(row[0] | string, row[1] | string)) %} {% endfor %}
    {% endif %}
    {{ return(dates | unique | sort) }}
{% endmacro %}
