-- Whose each session number is. If exactly one user has events in it, the events in it without a user, from before the login
-- or after the logout, are that user's too.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_session_numbers',
    pre_hook="{{ note_everything('visitors') }}"
) }}
{%- set window = open_window() %}
{%- set dates = touched_dates(window) %}
{%- set all_dates = dates if dates is none else (dates + dates_of_session_numbers(window)) | unique | sort %}

select
    session_id,
    case when count(distinct user_id) = 1 then max(user_id) end as user_id,
    count(distinct user_id) as users,
    min(activity_date) as first_date,
    max(activity_date) as last_date
from {{ ref('events') }}
where
    session_id is not null
    {% if dates is not none %}
    and {{ on_dates('activity_date', all_dates) }}
    and session_id in ({{ changed_events(['session_id'], window) }})
    {% endif %}
group by session_id
