{#
What a build has to do, and what it has done. docs/explanation/models.md has the full description.

`silver.event_dates`, the first model, numbers the builds. It follows the loader's watermark. OPS.BUILDS has one row for each
build of a model: the build number and the lake table version (batch_id of RAW.EVENTS) that it goes up to, the same two of the
previous build, and when it ended. The range between the two is the build's window. Every other model goes as far as all of
the models that it reads. A build that dies leaves no row, so the next one does its work.
#}

{% macro ops(table) -%} {{ target.database }}.OPS.{{ table }} {%- endmacro %}

{# Whether dbt is building a model, as opposed to compiling, documenting or running a unit test. #}
{% macro is_building() -%}
    {{ return(execute and flags.WHICH in ['run', 'build', 'retry'] and model.resource_type == 'model') }}
{%- endmacro %}

{# The number of this build, for the first models (event_dates, quarantine) and for notes of touched dates. #}
{% macro build_number() -%}
    coalesce(
        (select max(build) from {{ ops('BUILDS') }} where invocation_id = '{{ invocation_id }}' and model = 'event_dates'),
        (select coalesce(max(build), 0) + 1 from {{ ops('BUILDS') }} where model = 'event_dates')
    )
{%- endmacro %}

{# Decide how far this build of the model goes, before it reads anything. Returns the window. #}
{% macro open_window() %}
    {% if not is_building() %} {{ return(no_window()) }} {% endif %}
    {% do set_query_tag() %}
    {% set parents = [] %}
    {% for id in model.depends_on.nodes if id.startswith('model.') %} {% do parents.append(id.split('.')[2]) %} {% endfor %}
    {% set reached %}
        {% if model.name in ['event_dates', 'quarantine'] %}
            select {{ build_number() }} as build, coalesce(max(last_version), -1) as version
            from {{ ops('LOAD_STATE') }} where table_name = 'RAW.EVENTS'
        {% else %}
            select coalesce(min(build), 0) as build, coalesce(min(version), -1) as version
            from (
                select build, version from {{ ops('BUILDS') }} where model in ('{{ parents | join("', '") }}')
                qualify row_number() over (partition by model order by built_at desc) = 1
            ) as parents
        {% endif %}
    {% endset %}
    {% set done %}
        select coalesce(max(build), 0) as build, coalesce(max(version), -1) as version
        from (
            select build, version from {{ ops('BUILDS') }} where model = '{{ model.name }}'
            qualify row_number() over (partition by model order by built_at desc) = 1
        ) as builds
    {% endset %}
    {% set opened = read_window(
        "select reached.build, done.build as since_build, reached.version, done.version as since_version from ("
        ~ reached ~ ") as reached cross join (" ~ done ~ ") as done"
    ) %}
    {% do graph.setdefault(invocation_id, {}).update({model.name: opened}) %}
    {{ return(opened) }}
{% endmacro %}

{# The window that this build of the model opened, for its strategy and its row in OPS.BUILDS. #}
{% macro window() %}
    {{ return(graph[invocation_id][model.name] if is_building() else no_window()) }}
{% endmacro %}

{% macro no_window() -%}
    {{ return({'build': 0, 'since_build': 0, 'version': -1, 'since_version': -1, 'touched': {}, 'whole': []}) }}
{%- endmacro %}

{# Read a window: its two ends, the dates (ISO) noted in it by subject, and the subjects noted without a date. #}
{% macro read_window(ends) %}
    {% set found = run_query(
        "select ends.build, ends.since_build, ends.version, ends.since_version, notes.subject, notes.event_date from ("
        ~ ends ~ ") as ends left join " ~ ops('TOUCHED_DATES') ~ " as notes"
        ~ " on notes.build > ends.since_build and notes.build <= ends.build group by all"
    ) %}
    {% set touched = {} %}
    {% set whole = [] %}
    {% for row in found.rows if row[4] is not none %}
        {% if row[5] is none %} {% do whole.append(row[4]) %}
        {% else %} {% do touched.setdefault(row[4], []).append(row[5] | string) %}
        {% endif %}
    {% endfor %}
    {% if not found.rows %} {{ return(no_window()) }} {% endif %}
    {% set first = found.rows[0] %}
    {{ return({
        'build': first[0] | int, 'since_build': first[1] | int, 'version': first[2] | int, 'since_version': first[3] | int,
        'touched': touched, 'whole': whole,
    }) }}
{% endmacro %}

{# The statement that records that the model is built up to the end of its window. #}
{% macro record_build() %}
    {% set window = window() %}
    insert into {{ ops('BUILDS') }} (model, build, since_build, version, since_version, built_at, invocation_id)
    select '{{ model.name }}', {{ window.build }}, {{ window.since_build }}, {{ window.version }},
        {{ window.since_version }}, sysdate(), '{{ invocation_id }}'
{% endmacro %}

{# Pre-hook of a model that notes dates. A full build may change any date, so every model that reads it is built in full. #}
{% macro note_everything(subject) %}
    {% if is_building() and not is_incremental() %}
        insert into {{ ops('TOUCHED_DATES') }} (build, event_date, subject) select {{ build_number() }}, null, '{{ subject }}'
    {% endif %}
{% endmacro %}

{# Hourly: delete ledger rows that all models have covered. `dbt run-operation prune_ledgers` #}
{% macro prune_ledgers(keep_days=7) %}
    {% set covered %}
        (
            select coalesce(min(build), 0) from (
                select build from {{ ops('BUILDS') }} where build > 0
                qualify row_number() over (partition by model order by built_at desc) = 1
            ) as latest
        )
    {% endset %}
    {% do run_query("delete from " ~ ops('TOUCHED_DATES') ~ " where build <= " ~ covered) %}
    {% do run_query("delete from " ~ ops('DISPLACED_EVENTS') ~ " where build <= " ~ covered) %}
    {% do run_query(
        "delete from " ~ ops('BUILDS') ~ " where built_at < dateadd('day', -" ~ keep_days ~ ", sysdate()) and build < " ~ covered
    ) %}
{% endmacro %}
