{#
Distinct values that events carry: those already in the model, and those of the events that arrived. A value can disappear only
when an event was displaced. Then all events are read, as in a full build. `columns`: name → expression over events.
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
