{#
The dates that a build of a model is about, as literals, so that the warehouse reads those and no others.

In a model's meta:
  subjects  what it depends on: 'events' (default), 'songs' (their names and keys), 'sessions'
  after     a date changes the rows of these many days after it too: a list of days; default [0]
  spine     rows for every date from the first to the last listen: dates that enter or leave the spine are built too
  date      the column, or expression, that has the date of a row; default activity_date
  keys      columns of events that a row has too: an event changes only the rows of its date that have its values of them;
            default: all rows of its date
  completed_hours  rows for hours before the last listen's: the dates since the last row are built too
  period    'week', 'month' or 'year' where rows stand for more than a date
#}

{# `var('rebuild_from')` to `var('rebuild_to')`, ISO; empty where nobody asked for a rebuild. #}
{% macro rebuild_dates() %}
    {% set first = var('rebuild_from', none) %}
    {% if not first %} {{ return([]) }} {% endif %}
    {{ return(dates_between(first | string, var('rebuild_to', first) | string)) }}
{% endmacro %}

{% macro dates_between(first, last) %}
    {% set from_day = modules.datetime.date.fromisoformat(first[:10]) %}
    {% set days = (modules.datetime.date.fromisoformat(last[:10]) - from_day).days %}
    {% set dates = [] %}
    {% for n in range(days + 1) %} {% do dates.append((from_day + modules.datetime.timedelta(days=n)) | string) %} {% endfor %}
    {{ return(dates) }}
{% endmacro %}

{# Dates (ISO) that the window touches in these subjects; none: all of them. #}
{% macro touched_dates(window, subjects=['events']) %}
    {% if not is_building() or not is_incremental() %} {{ return(none) }} {% endif %}
    {% set dates = rebuild_dates() | list %}
    {% for subject in subjects %}
        {% if subject in window.whole %} {{ return(none) }} {% endif %}
        {% do dates.extend(window.touched.get(subject, [])) %}
    {% endfor %}
    {{ return(dates | unique | sort) }}
{% endmacro %}

{# The dates (ISO), or first dates of periods, whose rows this build of the model replaces; none: all of them. #}
{% macro dates_to_build(window) %}
    {% if 'dates_to_build' not in window %} {% do window.update({'dates_to_build': find_dates_to_build(window)}) %} {% endif %}
    {{ return(window.dates_to_build) }}
{% endmacro %}

{% macro find_dates_to_build(window) %}
    {% set meta = model.config.meta %}
    {% set dates = touched_dates(window, meta.get('subjects', ['events'])) %}
    {% if dates is none %} {{ return(none) }} {% endif %}
    {% if meta.get('spine') %} {% set dates = dates + dates_off_the_spine() %} {% endif %}
    {% set built = dates_of_completed_hours() if meta.get('completed_hours') else [] %}
    {% for date in dates | unique %}
        {% set day = modules.datetime.date.fromisoformat(date) %}
        {% for days in meta.get('after', [0]) %}
            {% do built.append(start_of(meta.get('period'), day + modules.datetime.timedelta(days=days)) | string) %}
        {% endfor %}
    {% endfor %}
    {{ return(built | unique | sort) }}
{% endmacro %}

{# The dates between the model's last row, or without any the first listen, and the last listen, both included. #}
{% macro dates_of_completed_hours() %}
    {% set found = run_query(
        "select coalesce(built.day, heard.first_day), heard.last_day from (select max(activity_hour)::date as day from " ~ this
        ~ ") as built cross join (select min(activity_date) as first_day, max(activity_date) as last_day from "
        ~ ref('dim_dates') ~ " where is_in_spine) as heard"
    ) %}
    {% set ends = found.rows[0].values() | reject('none') | map('string') | sort %}
    {{ return(dates_between(ends[0], ends[-1]) if ends else []) }}
{% endmacro %}

{% macro start_of(period, day) %}
    {% if period == 'week' %} {{ return(day - modules.datetime.timedelta(days=day.weekday())) }}
    {% elif period == 'month' %} {{ return(day.replace(day=1)) }}
    {% elif period == 'year' %} {{ return(day.replace(month=1, day=1)) }}
    {% else %} {{ return(day) }}
    {% endif %}
{% endmacro %}

{# Every date of the periods that begin on these dates. #}
{% macro dates_of(period, starts) %}
    {% if starts is none %} {{ return(none) }} {% endif %}
    {% set dates = [] %}
    {% for start in starts %}
        {% set day = modules.datetime.date.fromisoformat(start) %}
        {% set length = 7 if period == 'week' else (366 if period == 'year' else 31) %}
        {% for n in range(length) %}
            {% set date = day + modules.datetime.timedelta(days=n) %}
            {% if start_of(period, date) == day %} {% do dates.append(date | string) %} {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(dates) }}
{% endmacro %}

{# The same dates so many days earlier or later. #}
{% macro shifted(dates, days) %}
    {% if dates is none %} {{ return(none) }} {% endif %}
    {% set out = [] %}
    {% for date in dates %}
        {% for n in days %}
            {% do out.append(
                (modules.datetime.date.fromisoformat(date) + modules.datetime.timedelta(days=n)) | string
            ) %}
        {% endfor %}
    {% endfor %}
    {{ return(out | unique | sort) }}
{% endmacro %}

{# Dates, or first dates of periods, that are in the spine and not in the model's table, or the other way round. #}
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

{# `column in (dates)`; true for all dates, false for none of them. #}
{% macro on_dates(column, dates) -%}
    {%- if dates is none -%} true
    {%- elif dates -%} {{ column }} in ({% for date in dates %}'{{ date }}'::date{{ ', ' if not loop.last }}{% endfor %})
    {%- else -%} false
    {%- endif -%}
{%- endmacro %}

{# Of `column` values: those of the events that came or went in the window. #}
{% macro changed_events(columns, window) -%}
    select {{ columns | join(', ') }} from {{ ref('events') }}
    {%- set dates = touched_dates(window) %}
    {%- if dates is not none %}
    where {{ on_dates('activity_date', dates) }} and {{ has_come('', window) }}
    union
    select {{ columns | join(', ') }} from {{ ops('DISPLACED_EVENTS') }}
    where build > {{ window.since_build }} and build <= {{ window.build }}
    {%- endif %}
{%- endmacro %}

{# Dates whose events were taken from RAW anew, by this build or by one in the window that did not come so far as this model:
whatever is on them may have changed, whichever version brought it. #}
{% macro rebuilt_dates(window) %}
    {{ return((rebuild_dates() + window.touched.get('rebuilt', [])) | unique | sort) }}
{% endmacro %}

{# `or column in (dates that were rebuilt)`; nothing where none were. #}
{% macro or_rebuilt(column, window) -%}
    {%- if rebuilt_dates(window) %} or {{ on_dates(column, rebuilt_dates(window)) }} {%- endif -%}
{%- endmacro %}

{# Whether an event, a row of silver.events (`relation`, with its dot), has come in the window. #}
{% macro has_come(relation, window) -%}
    (
        ({{ relation }}batch_id > {{ window.since_version }} and {{ relation }}batch_id <= {{ window.version }})
        {{- or_rebuilt(relation ~ 'activity_date', window) }}
    )
{%- endmacro %}

{# The rows that this build replaces, as a condition on the model's table and, where it has `keys`, on what it is made from. #}
{% macro rows_to_build(window) -%}
    {%- set meta = model.config.meta %}
    {%- set date = meta.get('date', 'activity_date') %}
    {%- set dates = dates_to_build(window) -%}
    {{ on_dates(date, dates) }}
    {%- if dates and meta.get('keys') %}
    and (
        ({{ meta['keys'] | join(', ') }}) in ({{ changed_events(meta['keys'], window) }})
        {{- or_rebuilt(date, window) }}
    )
    {%- endif -%}
{%- endmacro %}

{# Whether events of the window have taken the place of others: only then can a value vanish. #}
{% macro something_was_displaced(window) %}
    {{ return('displaced' in window.touched or (rebuilt_dates(window) | length) > 0) }}
{% endmacro %}

{# First dates of the months before. #}
{% macro months_before(months) %}
    {% if months is none %} {{ return(none) }} {% endif %}
    {{ return(dates_starts('month', shifted(months, [-1]))) }}
{% endmacro %}

{# First dates of the periods in which these dates lie. #}
{% macro dates_starts(period, dates) %}
    {% set starts = [] %}
    {% for date in dates %}
        {% do starts.append(start_of(period, modules.datetime.date.fromisoformat(date)) | string) %}
    {% endfor %}
    {{ return(starts | unique | sort) }}
{% endmacro %}

{# Whether a date lies in one of the years that begin on these dates. #}
{% macro in_years(column, starts) -%}
    {%- if starts is none -%} true
    {%- elif not starts -%} false
    {%- else -%}
    (
        {%- for start in starts %}
        {{ column }} between '{{ start }}'::date and '{{ start[:4] }}-12-31'::date{{ ' or' if not loop.last }}
        {%- endfor %}
    )
    {%- endif -%}
{%- endmacro %}

{# A relation of the numbers from 0, below `count`. #}
{% macro numbers_below(count) -%}
    {%- for n in range(count) -%} select {{ n }} as n{{ ' union all ' if not loop.last }}{%- endfor -%}
{%- endmacro %}
