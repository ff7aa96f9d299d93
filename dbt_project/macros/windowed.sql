{#
Like dbt's incremental materialization, which it leaves untouched, but with fewer statements: 2 for a build of a model without
changes, and 5 to 8 instead of 19 for one with. Each statement costs a round trip. It does not compare the contract, describe the tables or rewrite the comments on every build. All three happen
when a table is created, which the first build does and each one that finds rows of another formula (macros/formulas.sql).

A build is one transaction: the strategy's statements (macros/strategies.sql) and the row in OPS.BUILDS. So it happens
completely or not at all. The row is written last, because its lock makes other models' builds wait; but first by the
strategies that note dates, so that of two builds at once the second waits before it has noted anything.

Some strategies need the model's rows more than once, or replace rows that the model reads: they get the rows from a
temporary table that is created first, and that ends with the session. The others insert straight from the model's query.
docs/explanation/models.md shows the statements of a build.
#}
{% materialization windowed, adapter='snowflake', supported_languages=['sql'] %}
    {%- set existing = load_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set is_created = existing is none or should_full_refresh() or not existing.is_table or has_another_formula() -%}
    {% do roll_back_open_transaction() %}
    {% if existing is not none and not should_full_refresh() and has_another_formula() %}
        {% do require_rebuildable(existing) %}
    {% endif %}
    {{ run_hooks(pre_hooks) }}

    {% if not is_created and window().before.access != access_of_readers() %} {% do open_to_readers(target_relation) %} {% endif %}
    {% if is_created %}
        {% do claim_table() %}
        {% if existing is not none and not existing.is_table %} {% do adapter.drop_relation(existing) %} {% endif %}
        {% call statement('main') %} {{ create_table_as(False, target_relation, compiled_code) }} {% endcall %}
        {% do open_to_readers(target_relation) %}
        {% do record_build() %}
        {% do persist_docs(target_relation, model) %}
    {% elif nothing_to_build() %}
        {% do record_build() %}
        {% call noop_statement('main', 'SUCCESS 0', 'SUCCESS', 0) %} {% endcall %}
    {% else %}
        {%- set columns = model.columns | join(', ') -%}
        {%- set strategy = config.require('incremental_strategy') -%}
        {%- set takes_rows_once = strategy in ['replace_dates', 'replace_users'] -%}
        {%- set notes_dates = strategy in ['note_rivals', 'replace_calendar', 'replace_events', 'replace_sessions', 'replace_names', 'replace_firsts'] -%}
        {%- set temp_relation = make_temp_relation(this).incorporate(type='table') -%}
        {% if not takes_rows_once %}
            {% do run_statement('create or replace temporary table ' ~ temp_relation ~ ' as (' ~ compiled_code ~ ')') %}
        {% endif %}
        {%- set rows = '(' ~ compiled_code ~ ') as built' if takes_rows_once else temp_relation -%}
        {%- set statements = context['statements_of_' ~ strategy](target_relation, rows, columns) -%}
        {% if not statements %}
            {% do record_build() %}
            {% call noop_statement('main', 'SUCCESS 0', 'SUCCESS', 0) %} {% endcall %}
        {% else %}
            {% do open_transactions().append(model.name) %}
            {% do run_statement('begin') %}
            {% if notes_dates %} {% do record_build() %} {% endif %}
            {% for text in statements[:-1] %} {% do run_statement(text) %} {% endfor %}
            {% call statement('main', auto_begin=False) %} {{ statements[-1] }} {% endcall %}
            {% if not notes_dates %} {% do record_build() %} {% endif %}
            {% do run_statement('commit') %}
            {% do open_transactions().remove(model.name) %}
        {% endif %}
    {% endif %}

    {{ run_hooks(post_hooks) }}
    {% do apply_grants(target_relation, config.get('grants'), should_revoke=should_revoke(existing, True)) %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Models that left a transaction open in this thread. dbt keeps a session for each thread, and a transaction that a failed model
left open in it must not become part of the next one. #}
{% macro open_transactions() %}
    {{ return(graph.setdefault(invocation_id, {}).setdefault('(open transactions of ' ~ thread_id ~ ')', [])) }}
{% endmacro %}

{% macro roll_back_open_transaction() %}
    {% if open_transactions() %}
        {% do run_statement('rollback') %}
        {% do open_transactions().clear() %}
    {% endif %}
{% endmacro %}

{% macro run_statement(text) %}
    {% call statement(auto_begin=False) %} {{ text }} {% endcall %}
{% endmacro %}

{# Whether nothing that the model depends on has changed. Models that also follow the reference data are always built. #}
{% macro nothing_to_build() %}
    {% set window = window() %}
    {% if model.name in ['event_dates', 'quarantine'] %}
        {{ return(window.version == window.since_version and not rebuild_dates()) }}
    {% endif %}
    {{ return(not model.config.meta.get('reference') and dates_to_build(window) == []) }}
{% endmacro %}
