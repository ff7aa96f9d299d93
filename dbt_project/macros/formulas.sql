{#
The formula of a table: what its rows come from. It is a checksum of the SQL of the table's complete build, as dbt renders it:
with the macros and the values of the variables in it. To this come the formulas of the tables, views and seeds below, as
OPS.BUILDS has them. So a change of any of these, here or below, changes the formula, and rows of two formulas never stand
side by side. Comments and layout do not count, nor does how a build finds the rows to replace.

The formula of a view is the checksum of its SQL, that of a seed the checksum of its file. Both are noted when the view is
created or the seed is loaded: until then, what reads them is built from the old one.
#}

{# Whether the table has rows of another formula than today's, or of one that nobody knows. The next build is complete then.
Not where the model's config says that the table is never built completely (full_refresh: false). #}
{% macro has_another_formula() %}
    {% if not is_building() or model.name not in graph.get(invocation_id, {}) or model.config.full_refresh is sameas false %}
        {{ return(false) }}
    {% endif %}
    {{ return(window().before.formula != window().formula) }}
{% endmacro %}

{# Whether this build changes rows of the model's table instead of creating it: what is_incremental() says of dbt's own
incremental models. Not while the complete build's SQL is rendered, and not for a table with rows of another formula. #}
{% macro is_continued() %}
    {% if not execute or model.config.materialized != 'windowed' or should_full_refresh() %} {{ return(false) }} {% endif %}
    {% set relation = adapter.get_relation(this.database, this.schema, this.table) %}
    {{ return(
        relation is not none and relation.is_table
        and model.name not in models_in_rendering() and not has_another_formula()
    ) }}
{% endmacro %}

{# The tables (names) that a node reads, directly or through views, and `all`: these, the views and the seeds. #}
{% macro nodes_below(node) %}
    {% set found = {'tables': [], 'all': []} %}
    {% for id in node.depends_on.nodes if id in graph.nodes %}
        {% set below = graph.nodes[id] %}
        {% do found.all.append(below.name) %}
        {% if below.config.materialized in ['view', 'ephemeral'] %}
            {% set further = nodes_below(below) %}
            {% do found.all.extend(further.all) %}
            {% do found.tables.extend(further.tables) %}
        {% elif below.resource_type != 'seed' %} {% do found.tables.append(below.name) %}
        {% endif %}
    {% endfor %}
    {{ return({'tables': found.tables | unique | sort, 'all': found.all | unique | sort}) }}
{% endmacro %}

{# Checksum of the SQL of the model's complete build, and of its columns as its yml declares them. #}
{% macro own_formula() %}
    {% do models_in_rendering().append(model.name) %}
    {% set parts = [rendered(model.raw_code)] %}
    {% do models_in_rendering().remove(model.name) %}
    {% for column in model.columns.values() %} {% do parts.append(column.name ~ ' ' ~ column.data_type) %} {% endfor %}
    {# Literals and words, without comments and layout. #}
    {% set words = modules.re.findall(
        "--[^\\n]*|/[*].*?[*]/|('(?:[^']|'')*'|[^\\s'/-]+|[/-])", parts | join('\n'), modules.re.DOTALL
    ) %}
    {{ return(local_md5((words | select | join(' ')).replace(target.database ~ '.', ''))) }}
{% endmacro %}

{# SQL of a node with names in place of relations and without its config, which says how a table is stored, not what is in it. #}
{% macro rendered(raw_code) %}
    {% set names = [] %}
    {% for name in ['ref', 'source', 'config'] %} {% do names.append("{" ~ "% set " ~ name ~ " = name_in_formula %" ~ "}") %} {% endfor %}
    {{ return(render(names | join ~ raw_code)) }}
{% endmacro %}

{# Stands for ref(), source() and config() in `rendered`. #}
{% macro name_in_formula() %} {{ return('' if kwargs else varargs | join('.')) }} {% endmacro %}

{# Models whose complete SQL is being rendered now, in any thread. #}
{% macro models_in_rendering() %}
    {{ return(graph.setdefault(invocation_id, {}).setdefault('(in rendering)', [])) }}
{% endmacro %}

{# Refuse to build a large table anew without being asked: it may take hours. #}
{% macro require_rebuildable(relation) %}
    {% set rows = run_query("select count(*) from " ~ relation).rows[0][0] | int %}
    {% if rows > var('rebuild_limit_rows') %}
        {% do exceptions.raise_compiler_error(
            "The formula of " ~ relation ~ " has changed, or that of something it reads, and its " ~ rows ~ " rows are more than"
            ~ " rebuild_limit_rows allows to rebuild unasked (" ~ var('rebuild_limit_rows') ~ "). Nothing was changed. When it"
            ~ " suits, run: dbt build --full-refresh --select " ~ model.name ~ "+"
        ) %}
    {% endif %}
{% endmacro %}

{#
Hooks of views and seeds: before a view is created or a seed loaded, note that its formula is unknown; after it, which one it
is. In between, and after a build that died there, what reads it is built completely. Nothing is written if it is the same.
#}
{% macro note_change(is_done) %}
    {% set formula = none %}
    {% if execute and flags.WHICH in ['run', 'build', 'seed', 'retry'] %}
        {% if model.resource_type == 'seed' %} {% set formula = model.checksum.checksum %}
        {% elif model.config.materialized == 'view' %} {% set formula = own_formula() %}
        {% endif %}
    {% endif %}
    {% if formula %}
    insert into {{ ops('BUILDS') }} (model, build, since_build, version, since_version, built_at, invocation_id, formula)
    select '{{ model.name }}', 0, 0, -1, -1, sysdate(), '{{ invocation_id }}', {{ "'" ~ formula ~ "'" if is_done else 'null' }}
    where not exists (
        select 1 from ({{ latest_builds(['formula'], [model.name]) }}) as latest where latest.formula = '{{ formula }}'
    )
    {% endif %}
{% endmacro %}
