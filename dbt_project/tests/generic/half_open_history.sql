{# Rows of a type 2 table whose period is empty, or overlaps the next one of the same key. #}
{% test half_open_history(model, key) %}
    with periods as (
        select
            {{ key }},
            valid_from,
            valid_to,
            lead(valid_from) over (partition by {{ key }} order by valid_from) as next_from
        from {{ model }}
    )

    select {{ key }}, valid_from, valid_to, next_from
    from periods
    where valid_to <= valid_from or (next_from is not null and (valid_to is null or valid_to > next_from))
{% endtest %}
