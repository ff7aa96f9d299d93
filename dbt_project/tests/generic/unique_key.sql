{# No two rows have the same values in all `columns`, and none of these values is NULL. #}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1 or not (true{% for column in columns %} and {{ column }} is not null{% endfor %})
{% endtest %}
