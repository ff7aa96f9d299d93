{#
What a build of a model changes: its dates, as literals, so that the warehouse reads those and no others; and of these the rows.

Keys of a model's meta:
  subjects  what the model depends on: 'events' (default), 'songs' (their names and keys), 'sessions', 'listens' (rows of
            silver.listens, which also change when their song is ended on another date), 'song_firsts' and 'artist_firsts' (dates
            on which a user first listened to a song, an artist, or no longer did), 'visitors' (whose events without a
            user are), 'closed' (dates that became complete), 'hours' (the same for hours: their dates), 'spine' (dates that
            entered or left the spine)
  notes     the subject as which the model itself notes the dates that it changes
  after     days after a touched date whose rows change with it, as a list; default [0], the date itself
  spine     the model has rows for every date from the first to the last listen: dates that enter or leave the spine are
            built too
  date      the column or expression with the date of a row; default activity_date
  keys      columns that a row shares with its events: an event changes only the rows of its date with the same values;
            default: all rows of its date
  period    'week' (from Monday), 'chart_week' (from Friday), 'month' or 'year' where a row covers more than one date
#}

{# The dates (ISO) from `var('rebuild_from')` to `var('rebuild_to')`; empty unless someone asked for a rebuild. #}
{% macro rebuild_dates() %}
    {% set first = var('rebuild_from', none) %}
    {% if not first %} {{ return([]) }} {% endif %}
    {{ return(dates_between(first | string, var('rebuild_to', first) | string)) }}
{% endmacro %}

{# Dates (ISO) that the window touches for these subjects; none means all dates. #}
{% macro touched_dates(window, subjects=['events']) %}
    {% if not is_building() or not is_continued() %} {{ return(none) }} {% endif %}
    {% set dates = rebuild_dates() | list %}
    {% for subject in subjects %}
        {% if subject in window.whole %} {{ return(none) }} {% endif %}
        {% do dates.extend(window.touched.get(subject, [])) %}
    {% endfor %}
    {{ return(in_few_ranges(dates)) }}
{% endmacro %}

{# The dates (ISO), or first dates of periods, whose rows this build of the model replaces; none means all. #}
{% macro dates_to_build(window) %}
    {% if 'dates_to_build' not in window %} {% do window.update({'dates_to_build': find_dates_to_build(window)}) %} {% endif %}
    {{ return(window.dates_to_build) }}
{% endmacro %}

{% macro find_dates_to_build(window) %}
    {% set meta = model.config.meta %}
    {% set dates = touched_dates(window, meta.get('subjects', ['events'])) %}
    {% if dates is none %} {{ return(none) }} {% endif %}
    {% if meta.get('spine') %} {% set dates = dates + dates_off_the_spine() %} {% endif %}
    {% set built = [] %}
    {% for date in dates | unique %}
        {% set day = modules.datetime.date.fromisoformat(date) %}
        {% for days in meta.get('after', [0]) %}
            {% do built.append(start_of(meta.get('period'), day + modules.datetime.timedelta(days=days)) | string) %}
        {% endfor %}
    {% endfor %}
    {{ return(built | unique | sort) }}
{% endmacro %}

{# Query of these columns of the events that were added or removed in the window. #}
{% macro changed_events(columns, window) -%}
    select {{ columns | join(', ') }} from {{ ref('events') }}
    {%- set dates = touched_dates(window) %}
    {%- if dates is not none %}
    where {{ on_dates('activity_date', dates) }} and {{ arrived_in('', window) }}
    union
    select {{ columns | join(', ') }} from {{ ops('DISPLACED_EVENTS') }}
    where build > {{ window.since_build }} and build <= {{ window.build }}
    {%- endif %}
{%- endmacro %}

{# Dates whose events were read from RAW again, by this build or by one in the window that did not get as far as this model.
Any event on them may have changed, whichever version it came from. #}
{% macro rebuilt_dates(window) %}
    {{ return(in_few_ranges(rebuild_dates() + window.touched.get('rebuilt', []))) }}
{% endmacro %}

{# `or column in (rebuilt dates)`; empty where none were rebuilt. #}
{% macro or_rebuilt(column, window) -%}
    {%- if rebuilt_dates(window) %} or {{ on_dates(column, rebuilt_dates(window)) }} {%- endif -%}
{%- endmacro %}

{# Whether a row of silver.events arrived in the window. `relation` is its alias with the dot, or empty. #}
{% macro arrived_in(relation, window) -%}
    (
        ({{ relation }}batch_id > {{ window.since_version }} and {{ relation }}batch_id <= {{ window.version }})
        {{- or_rebuilt(relation ~ 'activity_date', window) }}
    )
{%- endmacro %}

{# The rows that this build replaces, as a condition on the model's table and, if it has `keys`, on the tables it reads. #}
{% macro rows_to_build(window) -%}
    {%- set meta = model.config.meta %}
    {%- set date = meta.get('date', 'activity_date') %}
    {%- set dates = dates_to_build(window) -%}
    {{ on_dates(date, dates) }}
    {%- if dates and meta.get('keys') %}
    and (
        ({{ meta['keys'] | join(', ') }}) in (
            {{ changed_events(meta['keys'], window) }}
            {%- if 'visitors' in meta.get('subjects', []) and meta['keys'] == ['user_id'] %}
            union
            select user_id from {{ ref('session_dates') }}
            where {{ on_dates('activity_date', dates) }} and session_id in ({{ changed_events(['session_id'], window) }})
            {%- endif %}
        )
        {{- or_rebuilt(date, window) }}
        {%- if 'closed' in meta.get('subjects', []) and window.touched.get('closed') %}
        or {{ on_dates(date, window.touched['closed']) }}
        {%- endif %}
    )
    {%- endif -%}
{%- endmacro %}

{# Whether events in the window displaced others. Only then can a value disappear. #}
{% macro something_was_displaced(window) %}
    {{ return('displaced' in window.touched or (rebuilt_dates(window) | length) > 0) }}
{% endmacro %}
