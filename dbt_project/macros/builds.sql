{#
What a build has to do, and what it has done. docs/explanation/models.md has the full description.

`silver.event_dates`, the first model, numbers the builds. It follows the loader's watermark. OPS.BUILDS has one row for each
build of a model: the build number and the lake table version (batch_id of RAW.EVENTS) that it goes up to, the same two of the
previous build, and when it ended. The range between the two is the build's window. Every other model goes as far as all of
the models that it reads. A build that dies leaves no row, so the next one does its work.

The row also has the formula that the table's rows come from (macros/formulas.sql). A table with rows of another formula is
built completely.

The row is also the fence between two builds at once. Each notes itself as the successor of the row from which it opened its
window, by compare-and-swap, in the transaction that changes the table. The one that comes second rolls back and says so.
#}

{% macro ops(table) -%} {{ target.database }}.OPS.{{ table }} {%- endmacro %}

{# Query of columns of the latest row in OPS.BUILDS of each model, or of each of these: the row without a successor, and among
several the last in time. After the warehouse's clock was set back, the latest row is not the one with the latest time. #}
{% macro latest_builds(columns, models=none) -%}
    select {{ columns | join(', ') }} from {{ ops('BUILDS') }}
    {%- if models is not none %} where model in ('{{ models | join("', '") }}'){% endif %}
    qualify row_number() over (partition by model order by next_invocation is not null, built_at desc) = 1
{%- endmacro %}

{# Whether dbt is building a model, as opposed to compiling, documenting, running a unit test or rendering a formula. #}
{% macro is_building() -%}
    {{ return(
        execute and flags.WHICH in ['run', 'build', 'retry'] and model.resource_type == 'model'
        and model.name not in models_in_rendering()
    ) }}
{%- endmacro %}

{# The number of this build, for the first models (event_dates, quarantine) and for notes of touched dates. #}
{% macro build_number() -%}
    coalesce(
        (
            select max(build) from {{ ops('BUILDS') }}
            where invocation_id = '{{ invocation_id }}' and model = 'event_dates' and formula is not null
        ),
        (select coalesce(max(build), 0) + 1 from {{ ops('BUILDS') }} where model = 'event_dates')
    )
{%- endmacro %}

{# Decide how far this build of the model goes, before it reads anything. Returns the window. #}
{% macro open_window() %}
    {% if not is_building() %} {{ return(no_window()) }} {% endif %}
    {% do set_query_tag() %}
    {% set below = nodes_below(model) %}
    {% set reached %}
        {% if model.name in ['event_dates', 'quarantine'] %}
            select {{ build_number() }} as build, coalesce(max(last_version), -1) as version
            from {{ ops('LOAD_STATE') }} where table_name = 'RAW.EVENTS'
        {% else %}
            select coalesce(min(build), 0) as build, coalesce(min(version), -1) as version
            from ({{ latest_builds(['build', 'version'], below.tables) }}) as parents
        {% endif %}
    {% endset %}
    {% set formulas %}
        select listagg(model || ' ' || coalesce(formula, 'unknown'), ' ') within group (order by model) as formulas
        from ({{ latest_builds(['model', 'formula'], below.all) }}) as parents
    {% endset %}
    {% set done %}
        select
            coalesce(max(build), 0) as build, coalesce(max(version), -1) as version,
            max(invocation_id) as invocation_id, max(formula) as formula, max(access) as access
        from ({{ latest_builds(['build', 'version', 'invocation_id', 'formula', 'access'], [model.name]) }}) as builds
    {% endset %}
    {% set opened = read_window(
        "select reached.build, done.build as since_build, reached.version, done.version as since_version,"
        ~ " parents.formulas, done.invocation_id, done.formula, done.access from ("
        ~ reached ~ ") as reached cross join (" ~ done ~ ") as done cross join (" ~ formulas ~ ") as parents"
    ) %}
    {% do opened.update({'formula': local_md5(own_formula() ~ ' ' ~ opened.formulas)}) %}
    {% do graph.setdefault(invocation_id, {}).update({model.name: opened}) %}
    {# A complete build takes nothing over from the builds before it. #}
    {% if not is_continued() %} {% do opened.update({'since_build': 0, 'since_version': -1}) %} {% endif %}
    {{ return(opened) }}
{% endmacro %}

{# The window that this build of the model opened, for its strategy and its row in OPS.BUILDS. #}
{% macro window() %}
    {{ return(graph[invocation_id][model.name] if is_building() else no_window()) }}
{% endmacro %}

{% macro no_window() -%}
    {{ return({
        'build': 0, 'since_build': 0, 'version': -1, 'since_version': -1, 'formula': none, 'formulas': '',
        'before': {'invocation_id': none, 'build': 0, 'version': -1, 'formula': none, 'access': none},
        'touched': {}, 'whole': [], 'is_created': false,
    }) }}
{%- endmacro %}

{# Read a window: its two ends, what the previous build noted about the table (`before`), the dates (ISO) noted in the window
by subject, and the subjects noted without a date. #}
{% macro read_window(ends) %}
    {% set found = run_query(
        "select ends.build, ends.since_build, ends.version, ends.since_version, notes.subject, notes.event_date,"
        ~ " ends.formulas, ends.invocation_id, ends.formula, ends.access from ("
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
        'formula': none, 'formulas': first[6],
        'before': {
            'invocation_id': first[7], 'build': first[1] | int, 'version': first[3] | int, 'formula': first[8],
            'access': first[9],
        },
        'touched': touched, 'whole': whole, 'is_created': false,
    }) }}
{% endmacro %}

{# Record, with the last statement of its transaction, that the model is built up to the end of its window. #}
{% macro record_build() %}
    {% set window = window() %}
    {% do succeed_row(window.build, window.since_build, window.version, window.since_version, window.formula) %}
{% endmacro %}

{# Before a table is created anew, which no transaction covers: note that it may hold anything until the build is recorded. #}
{% macro claim_table() %}
    {% set before = window().before %}
    {% if before.invocation_id is not none %}
        {% do succeed_row(before.build, before.build, before.version, before.version, none) %}
        {% do before.update({'invocation_id': invocation_id}) %}
    {% endif %}
    {% do window().update({'is_created': true}) %}
{% endmacro %}

{#
Compare and swap: insert the model's next row in OPS.BUILDS and mark the one from which the window was opened, unless that one
has a successor already. MERGE takes the table's lock: of two builds at once, the second waits here for the first, and fails.
#}
{% macro succeed_row(build, since_build, version, since_version, formula) %}
    {% set before = window().before.invocation_id %}
    {% call statement('recorded', auto_begin=False) %}
        merge into {{ ops('BUILDS') }} as builds
        using (
            {% if before is none %}
            select '{{ model.name }}' as model, null as invocation_id, true as is_next
            {% else %}
            select builds.model, builds.invocation_id, rows_to_write.is_next
            from {{ ops('BUILDS') }} as builds
            cross join (select false as is_next union all select true as is_next) as rows_to_write
            where builds.model = '{{ model.name }}' and builds.invocation_id = '{{ before }}' and builds.next_invocation is null
            {% endif %}
        ) as change
            on builds.model = change.model and builds.next_invocation is null
            {% if before is not none %} and builds.invocation_id = change.invocation_id and not change.is_next {% endif %}
        {% if before is not none %} when matched then update set next_invocation = '{{ invocation_id }}' {% endif %}
        when not matched then insert
            (model, build, since_build, version, since_version, built_at, invocation_id, formula, access)
            values (
                change.model, {{ build }}, {{ since_build }}, {{ version }}, {{ since_version }}, sysdate(),
                '{{ invocation_id }}', {{ "'" ~ formula ~ "'" if formula is not none else 'null' }},
                '{{ access_of_readers() }}'
            )
    {% endcall %}
    {% if not load_result('recorded').response.rows_affected %} {% do refuse_build() %} {% endif %}
{% endmacro %}

{# Another build has changed the table since this one opened its window. If this one has created the table, it holds this
one's rows, and the other's row in OPS.BUILDS speaks of others: nobody knows their formula then. #}
{% macro refuse_build() %}
    {% do run_statement('rollback') %}
    {% set window = window() %}
    {% if window.is_created %}
        {% do run_statement(
            "insert into " ~ ops('BUILDS') ~ " (model, build, since_build, version, since_version, built_at, invocation_id)"
            ~ " select '" ~ model.name ~ "', " ~ window.before.build ~ ", " ~ window.before.build ~ ", "
            ~ window.before.version ~ ", " ~ window.before.version ~ ", sysdate(), '" ~ invocation_id ~ "'"
        ) %}
    {% endif %}
    {% if model.name in open_transactions() %} {% do open_transactions().remove(model.name) %} {% endif %}
    {% do exceptions.raise_compiler_error(
        "Another build has changed " ~ this ~ " while this one was at work on it. "
        ~ ("Both have created the table, so the next build creates it again." if window.is_created
            else "So this one has changed nothing there.")
        ~ " Nothing is lost: build again when the other one has ended. One build at a time is enough."
    ) %}
{% endmacro %}

{# Pre-hook of a model that notes dates. A full build may change any date, so every model that reads it is built in full. #}
{% macro note_everything(subject) %}
    {% if is_building() and not is_continued() %}
        insert into {{ ops('TOUCHED_DATES') }} (build, event_date, subject) select {{ build_number() }}, null, '{{ subject }}'
    {% endif %}
{% endmacro %}

{# At the end of a command: note the verdicts of its data tests in OPS.CHECK_RESULTS, in place of those before. #}
{% macro note_verdicts(results) %}
    {% set verdicts = [] %}
    {% for result in results if execute and result.node.resource_type == 'test' and result.status in ['pass', 'warn', 'fail', 'error'] %}
        {% set node = result.node %}
        {% set tested = (node.attached_node or (node.depends_on.nodes | first)).split('.') %}
        {% do verdicts.append({
            'model': tested[-1] if tested[0] != 'source' else (tested[-2:] | join('.') | upper),
            'check_name': node.name,
            'passed': result.status == 'pass',
            'said': 'passed' if result.status == 'pass' else (result.message or 'failed')[:500],
        }) %}
    {% endfor %}
    {% if verdicts %}
        {% set text = tojson(verdicts) | replace("\\", "\\\\") | replace("'", "''") %}
        {% set noted = "(select value:model::varchar as model, value:check_name::varchar as check_name,"
            ~ " value:passed::boolean as passed, value:said::varchar as said"
            ~ " from table(flatten(input => parse_json('" ~ text ~ "'))))" %}
        {% do run_query("alter session set query_tag = '" ~ tojson({
            'platform': 'music', 'run': env_var('MUSIC_RUN_ID', invocation_id), 'asset': 'ops/check_results'
        }) ~ "'") %}
        {% do run_query("begin") %}
        {% do run_query(
            "delete from " ~ ops('CHECK_RESULTS')
            ~ " where (model, check_name) in (select model, check_name from " ~ noted ~ " as noted)"
        ) %}
        {% do run_query(
            "insert into " ~ ops('CHECK_RESULTS') ~ " (model, check_name, kind, passed, said, checked_at)"
            ~ " select model, check_name, 'dbt', passed, said, sysdate() from " ~ noted ~ " as noted"
        ) %}
        {% do run_query("commit") %}
    {% endif %}
{% endmacro %}

{#
Hourly: delete ledger rows that all models have covered. `dbt run-operation prune_ledgers`

Only the project's models count. The rows of one that was removed or renamed would hold the notes forever, so they go.
#}
{% macro prune_ledgers(keep_days=7) %}
    {% set names = [] %}
    {% for node in graph.nodes.values() if node.resource_type in ['model', 'seed'] %} {% do names.append(node.name) %} {% endfor %}
    {% do run_query("delete from " ~ ops('BUILDS') ~ " where model not in ('" ~ names | join("', '") ~ "')") %}
    {% set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') | map(attribute='name') | list %}
    {% do run_query(
        "delete from " ~ ops('CHECK_RESULTS') ~ " where kind = 'dbt' and check_name not in ('" ~ tests | join("', '") ~ "')"
    ) %}
    {% set latest = latest_builds(['model', 'build', 'built_at']) %}
    {% set covered = "(select coalesce(min(build), 0) from (" ~ latest ~ ") as latest where build > 0)" %}
    {% do run_query("delete from " ~ ops('TOUCHED_DATES') ~ " where build <= " ~ covered) %}
    {% do run_query("delete from " ~ ops('DISPLACED_EVENTS') ~ " where build <= " ~ covered) %}
    {% do run_query(
        "delete from " ~ ops('BUILDS') ~ " where built_at < dateadd('day', -" ~ keep_days ~ ", sysdate()) and build < " ~ covered
        ~ " and (model, built_at) not in (select model, built_at from (" ~ latest ~ ") as latest)"
    ) %}
{% endmacro %}
