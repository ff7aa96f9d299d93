{#
Listens and page views are built for the touched dates. On other dates single rows of them may have to change: a song of
theirs means another one now, or, of listens, the page view that ends them has come or gone.
#}

{# Dates of which all rows are built; none: all of them. #}
{% macro whole_dates(window) %}
    {% if touched_dates(window, ['songs']) is none %} {{ return(none) }} {% endif %}
    {{ return(touched_dates(window)) }}
{% endmacro %}

{# The other dates. For listens the model must read silver.sessions. #}
{% macro further_dates(window) %}
    {% set whole = whole_dates(window) %}
    {% if whole is none %} {{ return([]) }} {% endif %}
    {% set dates = touched_dates(window, ['songs']) | list %}
    {% if model.name == 'listens' %}
        {% set found = run_query(
            "select distinct session_start::date, session_end::date from " ~ ref('sessions')
            ~ " where session_id in (" ~ changed_events(['session_id'], window) ~ ")"
        ) %}
        {% for row in found.rows %} {% do dates.extend(dates_between(row[0] | string, row[1] | string)) %} {% endfor %}
    {% endif %}
    {{ return(dates | reject('in', whole) | unique | sort) }}
{% endmacro %}
