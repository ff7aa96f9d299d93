{#
QUERY_TAG of the statements that dbt sends, in the format of music_platform/warehouse/connection.py: the run is Dagster's
(variable MUSIC_RUN_ID) or, on the command line, dbt's own. The model or test is in the comment that dbt appends to each statement.

A tag for each node would cost a statement each. A thread sets it once, because it keeps its session for all of its nodes. dbt calls
set_query_tag before each view, seed and test, and models do when they open their window (macros/builds.sql). dbt's own macro
reads the previous tag and restores it afterwards, which costs two round trips a node.
#}
{% macro set_query_tag() %}
    {% set tagged = graph.setdefault(invocation_id, {}).setdefault('(tagged threads)', []) %}
    {% if thread_id not in tagged %}
        {% do run_query("alter session set query_tag = '" ~ tojson({
            'platform': 'music', 'run': env_var('MUSIC_RUN_ID', invocation_id), 'asset': 'dbt'
        }) ~ "'") %}
        {% do tagged.append(thread_id) %}
    {% endif %}
{% endmacro %}

{% macro unset_query_tag(original_query_tag) %}{% endmacro %}
