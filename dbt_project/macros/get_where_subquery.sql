{#
In a test's config:
  where: touched dates   only the dates of its model's last build. With the variable `whole_tables` (nightly) the whole table.
  where: as of <model>   only the rows of batches that <model> has covered. A model of another tier may be behind.
#}
{% macro get_where_subquery(relation) -%}
    {%- set where = config.get('where') -%}
    {%- if where == 'touched dates' -%}
        {%- set where = none if var('whole_tables', false) else dates_of_last_build() -%}
    {%- elif where and where.startswith('as of ') -%}
        {%- set where = "batch_id <= (select coalesce(max(version), -1) from " ~ ops('BUILDS') ~ " where model = '"
            ~ where[6:] ~ "')" -%}
    {%- endif -%}
    {%- if where -%}
        {%- do return("(select * from " ~ relation ~ " where " ~ where ~ ") as touched_rows") -%}
    {%- else -%}
        {%- do return(relation) -%}
    {%- endif -%}
{%- endmacro %}

{# Condition on the rows of the tested model: the dates noted for its last build; none if that may be any date. #}
{% macro dates_of_last_build() %}
    {% if not execute or flags.WHICH not in ['build', 'test', 'retry'] %} {{ return(none) }} {% endif %}
    {% set tested = graph.nodes[model.attached_node] %}
    {% set meta = tested.config.meta %}
    {# If this invocation built the model, its window is known. Otherwise read it from the ledger. #}
    {% set window = graph.get(invocation_id, {}).get(tested.name) %}
    {% if window is none %}
        {% do set_query_tag() %}
        {% set window = read_window(
            latest_builds(
                ['build', 'since_build', 'version', 'since_version', "'' as formulas", 'invocation_id', 'formula', 'access'],
                [tested.name]
            )
        ) %}
    {% endif %}
    {% if window.since_build == 0 %} {{ return(none) }} {% endif %}
    {% set dates = [] %}
    {% for subject in meta.get('subjects', ['events']) %}
        {% if subject in window.whole %} {{ return(none) }} {% endif %}
        {% do dates.extend(window.touched.get(subject, [])) %}
    {% endfor %}
    {% set built = [] %}
    {% for date in dates %}
        {% do built.append(start_of(meta.get('period'), modules.datetime.date.fromisoformat(date)) | string) %}
    {% endfor %}
    {{ return(on_dates(meta.get('date', 'activity_date'), built | unique | sort)) }}
{% endmacro %}
