{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'listens', 'closed']}
) }}
{%- set window = open_window() %}

select
    listens.activity_date,
    listens.gender,
    listens.level,
    listens.state,
    count(distinct listens.user_id) as users,
    count(*) as plays,
    count_if(listens.is_stream) as streams,
    dates.is_complete
from {{ ref('listens') }} as listens
inner join {{ ref('dim_dates') }} as dates on listens.activity_date = dates.activity_date
where {{ on_dates('listens.activity_date', dates_to_build(window)) }}
group by listens.activity_date, listens.gender, listens.level, listens.state, dates.is_complete
