{# The spine: every date from the first to the last with a listen (silver.dim_dates, is_in_spine). #}

{# Dates, or first dates of periods, that are in the spine but not in the model's table, or vice versa. #}
{% macro dates_off_the_spine() %}
    {% set meta = model.config.meta %}
    {% set period = meta.get('period') %}
    {% set start = "date_trunc('" ~ period ~ "', activity_date)::date" if period else 'activity_date' %}
    {% set spine = "select " ~ start ~ " as activity_date from " ~ ref('dim_dates') ~ " where is_in_spine" %}
    {% set built = "select " ~ meta.get('date', 'activity_date') ~ " as activity_date from " ~ this %}
    {% set found = run_query(
        "(" ~ spine ~ " except " ~ built ~ ") union (" ~ built ~ " except " ~ spine ~ ")"
    ) %}
    {% set dates = [] %}
    {% for row in found.rows %} {% do dates.append((row[0] | string)[:10]) %} {% endfor %}
    {{ return(dates) }}
{% endmacro %}
