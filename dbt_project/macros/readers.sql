{#
A newly created table has neither masking policies nor grants. It gets both, policies first: the reading role cannot see the
table until its personal columns are masked. Views are masked by the policies of the tables below them, and are covered by
future grants (music_platform/warehouse/account.py).

Personal columns are those that music_platform/contracts calls personal, by name (variable personal_columns). `aggregate: true`
in a model's meta means that its rows describe places, not people.
#}
{% macro open_to_readers(relation) %}
    {% for column in model.columns %}
        {% set policy = none if model.config.meta.get('aggregate') else var('personal_columns').get(column) %}
        {% if policy %}
            {% do run_statement("alter table " ~ relation ~ " modify column " ~ column ~ " set masking policy " ~ ops(policy)) %}
        {% endif %}
    {% endfor %}
    {% set reader = env_var('SNOWFLAKE_READ_ROLE', '') %}
    {% if reader %} {% do run_statement("grant select on table " ~ relation ~ " to role " ~ reader) %} {% endif %}
{% endmacro %}
