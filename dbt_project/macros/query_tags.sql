{#
QUERY_TAG of each statement that dbt sends for a node: the run, and the asset that is built or tested. The run is Dagster's
(variable MUSIC_RUN_ID) or, from the command line, dbt's own. The form is that of music_platform/warehouse/connection.py.

dbt calls set_query_tag before each view, seed and test; models do when they open their window (macros/builds.sql), which is
before their first statement. dbt's own macro asks for the tag that was there and brings it back afterwards, which costs two
round trips a node; here every node sets its own.
#}
{% macro set_query_tag() %}
    {% do run_query("alter session set query_tag = '" ~ tojson({
        'platform': 'music', 'run': env_var('MUSIC_RUN_ID', invocation_id), 'asset': tagged_asset()
    }) ~ "'") %}
{% endmacro %}

{% macro unset_query_tag(original_query_tag) %}{% endmacro %}

{# Key of the asset that the node is, or that the test is about. #}
{% macro tagged_asset() %}
    {% set tested = model.get('attached_node') or model.get('tested_node_unique_id') %}
    {% set node = (graph.nodes.get(tested) or graph.sources.get(tested)) if tested else model %}
    {{ return((node.schema ~ '/' ~ node.name) | lower if node else model.name) }}
{% endmacro %}
