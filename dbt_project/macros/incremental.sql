{#
dbt's incremental materialization, with fewer statements: 7 to 9 for a build of a model instead of 19, of which each costs a
round trip. What is left out: comparing the contract, describing the tables and writing the comments anew at each build. All
three are done when a table is made; a model that gets a column must be built with --full-refresh, and says so until it is.
A model whose formula has changed, and whose meta says so (`revision`), is built whole by its next build.

A build is one transaction: the strategy's statements (macros/strategies.sql) and the row of OPS.BUILDS. So it has happened
wholly or not at all. A strategy that needs the model's rows more than once, or while they replace what they are made from,
finds them in a temporary table that is made before; the others take them from the model's query as they insert them.
#}
{% materialization incremental, adapter='snowflake', supported_languages=['sql'] %}
    {# The model's query tag was set when it opened its window. #}
    {%- set existing = load_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set is_made_anew = existing is none or should_full_refresh() or not existing.is_table or has_another_revision() -%}
    {% do roll_back_what_was_left_open() %}
    {{ run_hooks(pre_hooks) }}

    {% if not is_made_anew and window().access != access_of_readers() %} {% do open_to_readers(target_relation) %} {% endif %}
    {% if is_made_anew %}
        {% if existing is not none and not existing.is_table %} {% do adapter.drop_relation(existing) %} {% endif %}
        {% call statement('main') %} {{ create_table_as(False, target_relation, compiled_code) }} {% endcall %}
        {% do open_to_readers(target_relation) %}
        {% do run_statement(record_build()) %}
        {% do persist_docs(target_relation, model) %}
    {% elif nothing_to_build() %}
        {% call statement('main') %} {{ record_build() }} {% endcall %}
    {% else %}
        {%- set columns = model.columns | join(', ') -%}
        {%- set strategy = config.require('incremental_strategy') -%}
        {%- set takes_rows_once = strategy in ['replace_dates', 'replace_users'] -%}
        {%- set temp_relation = make_temp_relation(this).incorporate(type='table') -%}
        {% if not takes_rows_once %}
            {% do run_statement('create or replace temporary table ' ~ temp_relation ~ ' as (' ~ compiled_code ~ ')') %}
        {% endif %}
        {%- set rows = '(' ~ compiled_code ~ ') as built' if takes_rows_once else temp_relation -%}
        {%- set statements = context['statements_of_' ~ strategy](target_relation, rows, columns) -%}
        {% do open_transactions().append(model.name) %}
        {% do run_statement('begin') %}
        {% for text in statements[:-1] %} {% do run_statement(text) %} {% endfor %}
        {% call statement('main', auto_begin=False) %} {{ statements[-1] }} {% endcall %}
        {% do run_statement(record_build()) %}
        {% do run_statement('commit') %}
        {% do open_transactions().remove(model.name) %}
        {% if not takes_rows_once %} {% do run_statement('drop table if exists ' ~ temp_relation) %} {% endif %}
    {% endif %}

    {{ run_hooks(post_hooks) }}
    {% do apply_grants(target_relation, config.get('grants'), should_revoke=should_revoke(existing, True)) %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# dbt reuses sessions: what a model that failed has left open must not go into the transaction of the next. Models in one,
those that another thread is building among them: where there is any, this session's own is rolled back. #}
{% macro open_transactions() %}
    {{ return(graph.setdefault(invocation_id, {}).setdefault('(open transactions)', [])) }}
{% endmacro %}

{% macro roll_back_what_was_left_open() %}
    {% if open_transactions() %} {% do run_statement('rollback') %} {% endif %}
{% endmacro %}

{% macro run_statement(text) %}
    {% call statement(auto_begin=False) %} {{ text }} {% endcall %}
{% endmacro %}

{# Whether nothing has come or gone that the model depends on. Models that follow the reference data too are always built. #}
{% macro nothing_to_build() %}
    {% set window = window() %}
    {% if model.name in ['event_dates', 'quarantine'] %}
        {{ return(window.version == window.since_version and not rebuild_dates()) }}
    {% endif %}
    {{ return(not model.config.meta.get('reference') and dates_to_build(window) == []) }}
{% endmacro %}
