{#
A table that was made anew has neither masking policies nor grants. It gets both, in this order: until its personal columns
are masked the reading role sees nothing of it. A table that stands gets them again when what it should have is not what its
last build has noted. Views mask what they read by the policies of the tables below them; the grants on them are future ones
(music_platform/warehouse/account.py).

Personal columns are those of music_platform/contracts by name (variable personal_columns), and those that are made from them
under another name. In the meta of a column:
  masking_policy  the policy of a column that is made from a personal one
  open_because    why a column that is, or is made from, a personal one is open to readers
A unit test follows the lineage of each column, and fails for one that has neither (tests/unit/warehouse/test_masking.py).
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

{# Column → policy, of the model that is being built. #}
{% macro masking_policies() %}
    {% set policies = {} %}
    {% for name, column in model.columns.items() %}
        {% set policy = column.config.meta.get('masking_policy', var('personal_columns').get(name)) %}
        {% if policy and not column.config.meta.get('open_because') %} {% do policies.update({name: policy}) %} {% endif %}
    {% endfor %}
    {{ return(policies) }}
{% endmacro %}

{# How the model's table has to be opened, for OPS.BUILDS. #}
{% macro access_of_readers() %}
    {{ return(tojson({'policies': masking_policies(), 'reader': env_var('SNOWFLAKE_READ_ROLE', '')}, sort_keys=true)) }}
{% endmacro %}
