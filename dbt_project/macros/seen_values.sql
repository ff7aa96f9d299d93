{#
Distinct values that events carry: those that the model has, and those of the events that have come. Only where an event was
displaced can a value be gone: then, as for a whole build, all events are asked. `columns`: name → expression over events.
#}
{% macro seen_values(columns, condition, window) %}
    {%- set dates = touched_dates(window) %}
    {%- set all_events = dates is none or something_was_displaced(window) %}
    {% if not all_events %}
    select {{ columns | join(', ') }} from {{ this }}
    union
    {% endif %}
    select distinct {% for name, expression in columns.items() %}{{ expression }} as {{ name }}{{ ', ' if not loop.last }}{% endfor %}
    from {{ ref('events') }}
    where
        {{ condition }}
        {% if not all_events %}
        and {{ on_dates('activity_date', dates) }}
        and batch_id > {{ window.since_version }} and batch_id <= {{ window.version }}
        {% endif %}
{%- endmacro %}
