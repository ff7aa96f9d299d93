{# Names of the live tier's gold marts that are tables. A view needs no build. #}
{% macro live_marts() %}
    {% if not execute %} {{ return([]) }} {% endif %}
    {% set names = [] %}
    {% for node in graph.nodes.values()
        if node.resource_type == 'model' and node.schema | upper == 'GOLD' and node.config.meta.get('tier') == 'live'
        and node.config.materialized != 'view' %}
        {% do names.append(node.name) %}
    {% endfor %}
    {{ return(names | sort) }}
{% endmacro %}

{# Versions of the lake table that every live mart has covered and that are not measured yet; none means all. #}
{% macro versions_to_measure(marts) %}
    {% if not is_building() or not is_continued() %} {{ return(none) }} {% endif %}
    {% set found = run_query(
        "select version from " ~ source('ops', 'loads') ~ " where table_name = 'RAW.EVENTS' and version <= (select min(version)"
        ~ " from (select model, max(version) as version from " ~ source('ops', 'builds') ~ " where model in ('"
        ~ marts | join("', '") ~ "') group by model) as covered) and version not in (select version from " ~ this ~ ")"
    ) %}
    {% set versions = [] %}
    {% for row in found.rows %} {% do versions.append(row[0] | int) %} {% endfor %}
    {{ return(versions) }}
{% endmacro %}

{% macro in_versions(column, versions) -%}
    {%- if versions is none -%} true
    {%- elif versions -%} {{ column }} in ({{ versions | join(', ') }})
    {%- else -%} false
    {%- endif -%}
{%- endmacro %}
