{#
The date on which each user first listened to something: to a song, or an artist. Kept, because to find it again would mean
reading all listens. `key`: the column with the something, an expression over the relations `listens` and `songs`.

A build looks at the touched dates: an earlier first date can only be one of them. Only where a listen was displaced, or its song
means another one now, can a first date be gone. Such pairs, and no others, are looked up in all listens; `first_on` is NULL if
none is left. macros/strategies.sql writes the result (`replace_firsts`).
#}
{% macro first_listens(column, key, window) -%}
{%- set dates = touched_dates(window, model.config.meta['subjects']) -%}
{%- set may_be_gone = dates is not none and (something_was_displaced(window) or 'songs' in window.touched) -%}
with heard as (
    {{ heard_pairs(column, key) }} and {{ on_dates('listens.activity_date', dates) }}
    group by 1, 2
)
{%- if may_be_gone %},

gone as (
    select standing.{{ column }}, standing.user_id
    from {{ this }} as standing
    left join heard
        on
            standing.{{ column }} = heard.{{ column }}
            and standing.user_id = heard.user_id
            and standing.first_on = heard.first_on
    where {{ on_dates('standing.first_on', dates) }} and heard.user_id is null
),

found as (
    select gone.{{ column }}, gone.user_id, min(listens.first_on) as first_on
    from gone
    left join (
        {{ heard_pairs(column, key) }} and listens.user_id in (select user_id from gone)
        group by 1, 2
    ) as listens
        on gone.{{ column }} = listens.{{ column }} and gone.user_id = listens.user_id
    group by gone.{{ column }}, gone.user_id
)
{%- endif %}
{%- if dates is none %}

select {{ column }}, user_id, first_on from heard
{%- else %}

select heard.{{ column }}, heard.user_id, heard.first_on
from heard
left join {{ this }} as standing on heard.{{ column }} = standing.{{ column }} and heard.user_id = standing.user_id
{%- if may_be_gone %}
left join gone on heard.{{ column }} = gone.{{ column }} and heard.user_id = gone.user_id
{%- endif %}
where
    (standing.user_id is null or heard.first_on < standing.first_on)
    {%- if may_be_gone %}
    and gone.user_id is null
union all
select {{ column }}, user_id, first_on from found
    {%- endif %}
{%- endif %}
{%- endmacro %}

{# Query of the pairs with their first date, up to its conditions. #}
{% macro heard_pairs(column, key) -%}
select {{ key }} as {{ column }}, listens.user_id, min(listens.activity_date) as first_on
    from {{ ref('listens') }} as listens
    inner join {{ ref('dim_songs') }} as songs on listens.song_key = songs.song_key
    where listens.user_id is not null
{%- endmacro %}
