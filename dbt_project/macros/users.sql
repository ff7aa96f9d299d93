{#
The dates of registration that a build covers, for a model with rows by `registered_on`: those of the window, and those of users
whose registration or country is another one than in the table. That can follow from an event of any date.
#}
{% macro registrations_to_build(window) %}
    {% set dates = dates_to_build(window) %}
    {% if dates is none or not is_building() %} {{ return(dates) }} {% endif %}
    {% set changed = "user_id in (" ~ changed_events(['user_id'], window) ~ ")" %}
    {% set standing = "select user_id, registered_on, country from " ~ this ~ " where " ~ changed %}
    {% set current = "select user_id, registered_on, country from (" ~ registrations() ~ ") as registered where " ~ changed %}
    {% set found = run_query(
        "select distinct registered_on from ((" ~ standing ~ " except " ~ current ~ ") union (" ~ current ~ " except "
        ~ standing ~ ")) as moved"
    ) %}
    {% for row in found.rows %} {% do dates.append(row[0] | string) %} {% endfor %}
    {% do window.update({'dates_to_build': dates | unique | sort}) %}
    {{ return(window.dates_to_build) }}
{% endmacro %}

{# Query of when and where each user registered: the earliest registration that the user's events carry, and the first country. #}
{% macro registrations() -%}
select
        user_id,
        min(registered_at) as registered_at,
        min(registered_at)::date as registered_on,
        coalesce(min_by(country, valid_from), 'Unknown') as country
    from {{ ref('dim_users') }}
    where registered_at is not null
    group by user_id
{%- endmacro %}
