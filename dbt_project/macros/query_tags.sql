{#
QUERY_TAG of each statement that dbt sends for a node: the run, and the asset that is built or tested. The run is Dagster's
(variable MUSIC_RUN_ID) or, on the command line, dbt's own. music_platform/warehouse/connection.py uses the same format.

dbt calls set_query_tag before each view, seed and test. Models call it when they open their window (macros/builds.sql), before
their first statement. dbt's own macro reads the previous tag and restores it afterwards, which costs two round trips a node.
Here every node just sets its own.
#}
{% macro set_query_tag() %}
    {% do run_query("alter session set query_tag = '" ~ tojson({
        'platform': 'music', 'run': env_var('MUSIC_RUN_ID', invocation_id), 'asset': tagged_asset()
    }) ~ "'") %}
{% endmacro %}

{% macro unset_query_tag(original_query_tag) %}{% endmacro %}

{# Asset key of the node or, for a test, of the node that it tests. #}
{% macro tagged_asset() %}
    {% set tested = model.get('attached_node') or model.get('tested_node_unique_id') %}
    {% set node = (graph.nodes.get(tested) or graph.sources.get(tested)) if tested else model %}
    {{ return((node.schema ~ '/' ~ node.name) | lower if node else model.name) }}
{% endmacro %}
