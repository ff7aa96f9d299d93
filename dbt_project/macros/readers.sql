{#
A newly created table has neither masking policies nor grants. It gets both, policies first: the reading role cannot see the
table until its personal columns are masked. An existing table gets them again if its last build noted other ones. Views are
masked by the policies of the tables below them, and are covered by future grants (music_platform/warehouse/account.py).

Personal columns are those that music_platform/contracts calls personal, by name (variable personal_columns), and those that
are made from them under another name. In a column's meta:
  masking_policy  the policy of a column that is made from a personal one
  open_because    why readers may see a column that is, or is made from, a personal one
A unit test follows the lineage of every column and fails for one that has neither (tests/unit/orchestration/test_masking.py).
#}
{% macro open_to_readers(relation) %}
    {% for column, policy in masking_policies().items() %}
        {% do run_statement(
            "alter table " ~ relation ~ " modify column " ~ column ~ " set masking policy " ~ ops(policy) ~ " force"
        ) %}
    {% endfor %}
    {% set reader = env_var('SNOWFLAKE_READ_ROLE', '') %}
    {% if reader %} {% do run_statement("grant select on table " ~ relation ~ " to role " ~ reader) %} {% endif %}
{% endmacro %}

{# Column → policy, for the model that is being built. #}
{% macro masking_policies() %}
    {% set policies = {} %}
    {% for name, column in model.columns.items() %}
        {% set policy = column.config.meta.get('masking_policy', var('personal_columns').get(name)) %}
        {% if policy and not column.config.meta.get('open_because') %} {% do policies.update({name: policy}) %} {% endif %}
    {% endfor %}
    {{ return(policies) }}
{% endmacro %}

{# The policies and the reader that the model's table must have, as noted in OPS.BUILDS. #}
{% macro access_of_readers() %}
    {{ return(tojson({'policies': masking_policies(), 'reader': env_var('SNOWFLAKE_READ_ROLE', '')}, sort_keys=true)) }}
{% endmacro %}
