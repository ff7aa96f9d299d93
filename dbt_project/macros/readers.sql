{#
A table that was made anew has neither masking policies nor grants. It gets both, in this order: until its personal columns
are masked the reading role sees nothing of it. Views mask what they read by the policies of the tables below them; the grants
on them are future ones (music_platform/warehouse/account.py).

Personal columns are those of music_platform/contracts by name (variable personal_columns). `aggregate: true` in a model's meta
says that its rows are about places, not about persons.
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
