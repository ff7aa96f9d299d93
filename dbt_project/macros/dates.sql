{# Arithmetic with dates (ISO, as text) when a statement is written, and conditions on them. Nothing here asks the warehouse. #}

{% macro dates_between(first, last) %}
    {% set from_day = modules.datetime.date.fromisoformat(first[:10]) %}
    {% set days = (modules.datetime.date.fromisoformat(last[:10]) - from_day).days %}
    {% set dates = [] %}
    {% for n in range(days + 1) %} {% do dates.append((from_day + modules.datetime.timedelta(days=n)) | string) %} {% endfor %}
    {{ return(dates) }}
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
