-- Device of each User-Agent, from the first pattern that matches it.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    unique_key=['user_agent']
) }}
{%- set window = open_window() %}

with agents as (
    {{ seen_values({'user_agent': 'user_agent'}, 'user_agent is not null', window) }}
)

select
    agents.user_agent,
    patterns.device_type,
    patterns.os as device_os
from agents
left join {{ ref('device_patterns') }} as patterns on agents.user_agent like patterns.pattern
qualify row_number() over (partition by agents.user_agent order by patterns.priority) = 1
