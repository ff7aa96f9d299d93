{#
Incremental strategies: the statements, in order, that write a model's rows to its table. `source` is where the rows come from:
a temporary table or the model's query. They run in one transaction (macros/windowed.sql): delete the affected old rows,
insert the new ones, and note what other models need to know. Unlike delete+insert they also remove rows without a successor.
#}

{% macro insert_all(target, source, columns) -%}
    {{ return("insert into " ~ target ~ " (" ~ columns ~ ") select " ~ columns ~ " from " ~ source) }}
{%- endmacro %}

{# Note touched dates. `dates`: a query of date and subject. #}
{% macro note_dates(dates) -%}
    {{ return("insert into " ~ ops('TOUCHED_DATES') ~ " (build, event_date, subject) select " ~ build_number() ~ ", dates.* from ("
        ~ dates ~ ") as dates") }}
{%- endmacro %}

{# `replace_dates`: replace the rows of the build's dates, or only those that events changed (`rows_to_build`). #}
{% macro statements_of_replace_dates(target, source, columns) %}
    {{ return([
        "delete from " ~ target ~ " where " ~ rows_to_build(window()),
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `replace_records`: replace the rows of the records that the model returns. #}
{% macro statements_of_replace_records(target, source, columns) %}
    {{ return([
        "delete from " ~ target ~ " where record_id in (select record_id from "
        ~ source ~ ")",
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `note_rivals`: replace the rows of the window's versions. Note every date with a record of the same ids. #}
{% macro statements_of_note_rivals(target, source, columns) %}
    {% set window = window() %}
    {% set of_window = "batch_id > " ~ window.since_version ~ " and batch_id <= " ~ window.version %}
    {{ return([
        "delete from " ~ target ~ " where " ~ of_window,
        insert_all(target, source, columns),
        note_dates(
            "select distinct activity_date, 'rivals' as subject from " ~ target ~ " where id_hash in (select id_hash from "
            ~ target ~ " where (" ~ of_window ~ ") or " ~ on_dates('activity_date', rebuild_dates()) ~ ")"
        ),
    ]) }}
{% endmacro %}

{# `replace_users`: replace the rows of users who had events added or removed. #}
{% macro statements_of_replace_users(target, source, columns) %}
    {% set window = window() %}
    {% set everyone = touched_dates(window) is none %}
    {{ return([
        "delete from " ~ target ~ " where "
        ~ ("true" if everyone else "user_id in (" ~ changed_events(['user_id'], window) ~ ")"),
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `replace_changed`: for small tables that are computed in full. Writes only the rows that differ, and nothing if none does. #}
{% macro statements_of_replace_changed(target, source, columns) %}
    {{ return(changed_rows_replaced(target, source, columns) if differ(target, source, columns) else []) }}
{% endmacro %}

{# Whether two tables have different rows. #}
{% macro differ(target, source, columns) %}
    {% set found = run_query(
        "select count(*) from ((select " ~ columns ~ " from " ~ target ~ " except select " ~ columns ~ " from " ~ source
        ~ ") union all (select " ~ columns ~ " from " ~ source ~ " except select " ~ columns ~ " from " ~ target ~ ")) as differing"
    ) %}
    {{ return((found.rows[0][0] | int) > 0) }}
{% endmacro %}

{% macro changed_rows_replaced(target, source, columns) %}
    {% set same = [] %}
    {% for key in config.require('unique_key') %} {% do same.append("equal_null(gone." ~ key ~ ", standing." ~ key ~ ")") %} {% endfor %}
    {{ return([
        "delete from " ~ target ~ " as standing using (select " ~ columns ~ " from " ~ target ~ " except select " ~ columns
        ~ " from " ~ source ~ ") as gone where " ~ same | join(' and '),
        "insert into " ~ target ~ " (" ~ columns ~ ") (select " ~ columns ~ " from " ~ source ~ " except select " ~ columns
        ~ " from " ~ target ~ ")",
    ]) }}
{% endmacro %}

{# `replace_calendar`: like `replace_changed`. Notes the dates that became complete ('closed'), those that entered or left the spine ('spine'), and those from the hour that the
warehouse was as of to the one that it is as of now ('hours'). Both can also move back. #}
{% macro statements_of_replace_calendar(target, source, columns) %}
    {% set complete %}
        (select activity_date from {{ source }} where is_complete except select activity_date from {{ target }} where is_complete)
        union
        (select activity_date from {{ target }} where is_complete except select activity_date from {{ source }} where is_complete)
    {% endset %}
    {% set spine %}
        (select activity_date from {{ source }} where is_in_spine except select activity_date from {{ target }} where is_in_spine)
        union
        (select activity_date from {{ target }} where is_in_spine except select activity_date from {{ source }} where is_in_spine)
    {% endset %}
    {% set as_of %}
        select max(standing.as_of) as before, max(built.as_of) as now
        from (select date_trunc('hour', max(last_record_at)) as as_of from {{ target }}) as standing
        cross join (select date_trunc('hour', max(last_record_at)) as as_of from {{ source }}) as built
    {% endset %}
    {% set dates %}
        select closed.activity_date, 'closed' as subject from ({{ complete }}) as closed
        union
        select entered.activity_date, 'spine' as subject from ({{ spine }}) as entered
        union
        select dates.activity_date, 'hours' as subject
        from (select activity_date from {{ source }} union select activity_date from {{ target }}) as dates
        inner join ({{ as_of }}) as as_of
            on
                as_of.before <> as_of.now
                and dates.activity_date between least(as_of.before, as_of.now)::date and greatest(as_of.before, as_of.now)::date
    {% endset %}
    {{ return([note_dates(dates)] + changed_rows_replaced(target, source, columns)) }}
{% endmacro %}

{# `replace_events`: insert new winners, move the rows they displace to OPS.DISPLACED_EVENTS, and note the dates of both. #}
{% macro statements_of_replace_events(target, source, columns) %}
    {% set rivals %}
        (
            {{ on_dates('activity_date', touched_dates(window(), ['rivals'])) }}
            and event_id in (select event_id from {{ source }})
        )
        or {{ on_dates('activity_date', rebuild_dates()) }}
    {% endset %}
    {% set rebuilt = rebuild_dates() %}
    {% set keys = 'event_id, event_kind, activity_date, user_id, session_id, song_id, artist, song' %}
    {# Two records of an event say the same if they agree in all columns but those of their origin. `extra` is in no table. #}
    {% set content = model.columns | reject('in', origin_columns() + ['extra']) | join(', ') %}
    {{ return([
        "insert into " ~ ops('DISPLACED_EVENTS') ~ " (build, " ~ keys ~ ") select " ~ build_number() ~ ", " ~ keys ~ " from (select "
        ~ content ~ " from " ~ target ~ " where " ~ rivals ~ " except select " ~ content ~ " from " ~ source ~ ") as displaced",
        note_dates(
            "select activity_date, 'events' as subject from " ~ source ~ " union select activity_date, 'events' from " ~ target
            ~ " where " ~ rivals ~ " union select activity_date, 'displaced' from " ~ ops('DISPLACED_EVENTS')
            ~ " where build = " ~ build_number()
            ~ (" union select rebuilt.date_day, 'rebuilt' from (" ~ every_date(rebuilt[0], rebuilt[-1]) ~ ") as rebuilt"
               if rebuilt else "")
        ),
        "delete from " ~ target ~ " where " ~ rivals,
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `replace_session_numbers`: replace the rows of session numbers with changed events, and note the dates of those whose user is
another one: their events without a user belong to someone else now. #}
{% macro statements_of_replace_session_numbers(target, source, columns) %}
    {% set window = window() %}
    {% if touched_dates(window) is none %}
        {{ return(["delete from " ~ target ~ " where true", insert_all(target, source, columns)]) }}
    {% endif %}
    {% set changed = changed_events(['session_id'], window) %}
    {% set other_user %}
        select standing.session_id, standing.first_date, standing.last_date
        from {{ target }} as standing
        left join {{ source }} as built on standing.session_id = built.session_id
        where standing.session_id in ({{ changed }}) and not equal_null(standing.user_id, built.user_id)
    {% endset %}
    {{ return([
        note_dates(
            "select distinct events.activity_date, 'visitors' as subject from " ~ ref('events') ~ " as events inner join ("
            ~ other_user ~ ") as other_user on events.session_id = other_user.session_id"
            ~ " and events.activity_date between other_user.first_date and other_user.last_date"
        ),
        "delete from " ~ target ~ " where session_id in (" ~ changed ~ ")",
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `replace_sessions`: replace the sessions near touched dates, and note the dates on which old and new ones start, and those on
which others of the same numbers do: an event can end a song of any of them. #}
{% macro statements_of_replace_sessions(target, source, columns) %}
    {% set window = window() %}
    {% set reached = reached_sessions(window) %}
    {% set dates %}
        {% if touched_dates(window, session_subjects()) is none %}
            select null::date as session_date, 'sessions' as subject
        {% else %}
            select session_start::date as session_date, 'sessions' as subject from {{ source }}
            union
            select session_start::date, 'sessions' from {{ target }}
            where {{ reached }} or session_id in ({{ changed_events(['session_id'], window) }})
        {% endif %}
    {% endset %}
    {{ return([
        note_dates(dates),
        "delete from " ~ target ~ " where " ~ reached,
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `replace_names`: write names that are new or now refer to another song. Note the dates of the latter's events. #}
{% macro statements_of_replace_names(target, source, columns) %}
    {% set differing = "select " ~ columns ~ " from " ~ target ~ " except select " ~ columns ~ " from " ~ source %}
    {% set statements = changed_rows_replaced(target, source, columns) %}
    {% set found = run_query(
        "select (select count(*) from (" ~ differing ~ ") as gone), (select count(*) from (select " ~ columns ~ " from " ~ source
        ~ " except select " ~ columns ~ " from " ~ target ~ ") as built)"
    ) %}
    {% if (found.rows[0][0] | int) + (found.rows[0][1] | int) == 0 %} {{ return([]) }} {% endif %}
    {% if (found.rows[0][0] | int) > 0 %}
        {% do statements.insert(0, note_dates(
            "select distinct events.activity_date, 'songs' as subject from " ~ ref('events') ~ " as events inner join ("
            ~ differing ~ ") as names on equal_null(events.song_id, names.song_id)"
            ~ " and equal_null(events.artist, names.artist) and equal_null(events.song, names.song)"
        )) %}
    {% endif %}
    {{ return(statements) }}
{% endmacro %}

{# `replace_rows`: replace the rows that the model returns, and delete those of displaced events. Note their dates if the model's
meta says as which subject (`notes`): a row can change on a date that has no new event. #}
{% macro statements_of_replace_rows(target, source, columns) %}
    {% set window = window() %}
    {% set dates = touched_dates(window) %}
    {% if dates_of_events(window) is none %}
        {{ return(["delete from " ~ target ~ " where true", insert_all(target, source, columns)]) }}
    {% endif %}
    {% set found = run_query("select distinct activity_date from " ~ source) %}
    {% for row in found.rows %} {% do dates.append(row[0] | string) %} {% endfor %}
    {% set notes = model.config.meta.get('notes') %}
    {% set changed = "select distinct activity_date, '" ~ notes ~ "' as subject from " ~ source %}
    {{ return(([note_dates(changed)] if notes else []) + [
        "delete from " ~ target ~ " where " ~ on_dates('activity_date', in_few_ranges(dates))
        ~ " and (event_id in (select event_id from " ~ source ~ " union " ~ changed_events(['event_id'], window) ~ ")"
        ~ or_rebuilt('activity_date', window) ~ ")",
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}

{# `replace_firsts`: write the first dates that are other ones now (NULL: there is none), and note them, and those that they were. #}
{% macro statements_of_replace_firsts(target, source, columns) %}
    {% if touched_dates(window(), model.config.meta['subjects']) is none %}
        {{ return(["delete from " ~ target ~ " where true", insert_all(target, source, columns)]) }}
    {% endif %}
    {% set subject = model.config.meta['notes'] %}
    {% set same = [] %}
    {% for key in config.require('unique_key') %} {% do same.append("standing." ~ key ~ " = built." ~ key) %} {% endfor %}
    {{ return([
        note_dates(
            "select first_on, '" ~ subject ~ "' as subject from " ~ source ~ " where first_on is not null"
            ~ " union select standing.first_on, '" ~ subject ~ "' from " ~ target ~ " as standing inner join " ~ source
            ~ " as built on " ~ same | join(' and ')
        ),
        "delete from " ~ target ~ " as standing using " ~ source ~ " as built where " ~ same | join(' and '),
        insert_all(target, source, columns) ~ " where first_on is not null",
    ]) }}
{% endmacro %}

{# `replace_versions`: replace the rows of the versions that the model returns. #}
{% macro statements_of_replace_versions(target, source, columns) %}
    {{ return([
        "delete from " ~ target ~ " where version in (select version from " ~ source ~ ")",
        insert_all(target, source, columns),
    ]) }}
{% endmacro %}
