{# No two rows share the values of all `columns`, and none of these is missing. #}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1 or not (true{% for column in columns %} and {{ column }} is not null{% endfor %})
{% endtest %}
