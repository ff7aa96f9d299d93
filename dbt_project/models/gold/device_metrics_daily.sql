{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={'tier': 'policy', 'subjects': ['events', 'listens', 'closed']}
) }}
{%- set window = open_window() %}

select
    listens.activity_date,
    listens.device_type,
    listens.device_os,
    count(*) as plays,
    count_if(listens.is_stream) as streams,
    count(distinct listens.user_id) as users,
    dates.is_complete
from {{ ref('listens') }} as listens
inner join {{ ref('dim_dates') }} as dates on listens.activity_date = dates.activity_date
where {{ on_dates('listens.activity_date', dates_to_build(window)) }}
group by listens.activity_date, listens.device_type, listens.device_os, dates.is_complete
