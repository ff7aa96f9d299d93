{#
The dates that a build of a model covers, as literals, so that the warehouse reads those and no others.

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

{% macro dates_between(first, last) %}
    {% set from_day = modules.datetime.date.fromisoformat(first[:10]) %}
    {% set days = (modules.datetime.date.fromisoformat(last[:10]) - from_day).days %}
    {% set dates = [] %}
    {% for n in range(days + 1) %} {% do dates.append((from_day + modules.datetime.timedelta(days=n)) | string) %} {% endfor %}
    {{ return(dates) }}
{% endmacro %}

{# Dates (ISO) that the window touches for these subjects; none means all dates. #}
{% macro touched_dates(window, subjects=['events']) %}
    {% if not is_building() or not is_incremental() %} {{ return(none) }} {% endif %}
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

{% macro start_of(period, day) %}
    {% if period == 'week' %} {{ return(day - modules.datetime.timedelta(days=day.weekday())) }}
    {% elif period == 'chart_week' %} {{ return(day - modules.datetime.timedelta(days=(day.weekday() + 3) % 7)) }}
    {% elif period == 'month' %} {{ return(day.replace(day=1)) }}
    {% elif period == 'year' %} {{ return(day.replace(month=1, day=1)) }}
    {% else %} {{ return(day) }}
    {% endif %}
{% endmacro %}

{# The last date of the period that begins on the date in `column`. #}
{% macro last_date_of(period, column) -%}
    {%- if period == 'week' -%} dateadd('day', 6, {{ column }})::date
    {%- else -%} dateadd('day', -1, dateadd('{{ period }}', 1, {{ column }}))::date
    {%- endif -%}
{%- endmacro %}

{# Every date of the periods that begin on these dates. #}
{% macro dates_of(period, starts) %}
    {% if starts is none %} {{ return(none) }} {% endif %}
    {% set dates = [] %}
    {% for start in starts %}
        {% set day = modules.datetime.date.fromisoformat(start) %}
        {% set length = 7 if period in ['week', 'chart_week'] else (366 if period == 'year' else 31) %}
        {% for n in range(length) %}
            {% set date = day + modules.datetime.timedelta(days=n) %}
            {% if start_of(period, date) == day %} {% do dates.append(date | string) %} {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(dates) }}
{% endmacro %}

{# The dates, shifted by each number of `days`; a negative number is earlier. #}
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

{# Whether `column` is one of the dates; true where `dates` is none (all dates), false where it is empty. Dates in a row are
written as a range, so a statement about a month or ten years is as long as one about a day. #}
{% macro on_dates(column, dates) -%}
    {%- if dates is none -%} true
    {%- elif dates -%}
    {%- set single, parts = [], [] -%}
    {%- for first, last in date_ranges(dates) -%}
        {%- if first == last -%} {%- do single.append("'" ~ first ~ "'::date") -%}
        {%- else -%} {%- do parts.append(column ~ " between '" ~ first ~ "'::date and '" ~ last ~ "'::date") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if single -%} {%- do parts.insert(0, column ~ " in (" ~ single | join(', ') ~ ")") -%} {%- endif -%}
    {{ parts[0] if parts | length == 1 else "(" ~ parts | join(' or ') ~ ")" }}
    {%- else -%} false
    {%- endif -%}
{%- endmacro %}

{# The dates as ranges without a gap: pairs of the first and the last date. #}
{% macro date_ranges(dates) %}
    {% set days, ranges = [], [] %}
    {% for date in dates %} {% do days.append((date | string)[:10]) %} {% endfor %}
    {% for date in days | unique | sort %}
        {% set day = modules.datetime.date.fromisoformat(date) %}
        {% if ranges and (day - modules.datetime.date.fromisoformat(ranges[-1][1])).days == 1 %}
            {% do ranges.append((ranges.pop()[0], date)) %}
        {% else %}
            {% do ranges.append((date, date)) %}
        {% endif %}
    {% endfor %}
    {{ return(ranges) }}
{% endmacro %}

{# The dates and, if they are in more than `most_date_ranges` ranges, those in the smallest gaps between them. They are built
too, which changes nothing, and no statement grows beyond bounds. #}
{% macro in_few_ranges(dates) %}
    {% set ranges, gaps, filled = date_ranges(dates), [], [] %}
    {% set surplus = (ranges | length) - var('most_date_ranges', 200) %}
    {% if surplus <= 0 %} {{ return(dates | unique | sort) }} {% endif %}
    {% for first, last in ranges %}
        {% if not loop.last %}
            {% set next = modules.datetime.date.fromisoformat(ranges[loop.index][0]) %}
            {% do gaps.append((next - modules.datetime.date.fromisoformat(last)).days) %}
        {% endif %}
    {% endfor %}
    {% set closed = (gaps | sort)[surplus - 1] %}
    {% for first, last in ranges %}
        {% set is_closed = not loop.last and gaps[loop.index0] <= closed %}
        {% do filled.extend(dates_between(first, ranges[loop.index][0] if is_closed else last)) %}
    {% endfor %}
    {{ return(filled | unique | sort) }}
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

{# First dates of the previous months. #}
{% macro months_before(months) %}
    {% if months is none %} {{ return(none) }} {% endif %}
    {{ return(dates_starts('month', shifted(months, [-1]))) }}
{% endmacro %}

{# First dates of these months and of so many before each. #}
{% macro months_up_to(months, count) %}
    {% if months is none %} {{ return(none) }} {% endif %}
    {% set found = [] %}
    {% for start in months %}
        {% set months_since_0 = (start[:4] | int) * 12 + (start[5:7] | int) - 1 %}
        {% for n in range(months_since_0 - count, months_since_0 + 1) %}
            {% do found.append('%04d-%02d-01' | format(n // 12, n % 12 + 1)) %}
        {% endfor %}
    {% endfor %}
    {{ return(found | unique | sort) }}
{% endmacro %}

{# First dates of the periods that contain these dates. #}
{% macro dates_starts(period, dates) %}
    {% set starts = [] %}
    {% for date in dates %}
        {% do starts.append(start_of(period, modules.datetime.date.fromisoformat(date)) | string) %}
    {% endfor %}
    {{ return(starts | unique | sort) }}
{% endmacro %}

{# Condition that the date in `column` is in one of the years that begin on these dates. #}
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

{# Query of the dates from `first` to `last`, as long for ten years as for a day. #}
{% macro every_date(first, last) -%}
    select dateadd('day', ones.n + 10 * tens.n + 100 * hundreds.n + 1000 * thousands.n, '{{ first }}'::date)::date as date_day
    from ({{ numbers_below(10) }}) as ones
    cross join ({{ numbers_below(10) }}) as tens
    cross join ({{ numbers_below(10) }}) as hundreds
    cross join ({{ numbers_below(10) }}) as thousands
    where dateadd('day', ones.n + 10 * tens.n + 100 * hundreds.n + 1000 * thousands.n, '{{ first }}'::date) <= '{{ last }}'::date
{%- endmacro %}

{# Query of the numbers from 0 to `count` - 1. #}
{% macro numbers_below(count) -%}
    {%- for n in range(count) -%} select {{ n }} as n{{ ' union all ' if not loop.last }}{%- endfor -%}
{%- endmacro %}
