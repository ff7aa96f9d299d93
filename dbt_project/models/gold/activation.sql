-- What each registered user did first: a stream, a third session within a week, a look at the offer and taking it within
-- 30 days.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_dates',
    meta={
        'tier': 'policy', 'date': 'registered_on', 'subjects': ['events', 'sessions', 'listens'],
        'after': range(-31, 1) | list,
    }
) }}
{%- set window = open_window() %}
{%- set dates = registrations_to_build(window) %}
{%- set later_dates = shifted(dates, range(0, 32)) %}
-- depends_on: {{ ref('events') }}

with registered as (
    {{ registrations() }}
),

users as (
    select * from registered where {{ on_dates('registered_on', dates) }}
),

streamed as (
    select
        users.user_id,
        min(listens.event_time) as first_stream_at,
        count_if(listens.event_time < dateadd('hour', 24, users.registered_at)) as streams_24h
    from users
    inner join {{ ref('listens') }} as listens
        on
            users.user_id = listens.user_id
            and listens.event_time between users.registered_at and dateadd('day', 30, users.registered_at)
    where listens.is_stream and {{ on_dates('listens.activity_date', later_dates) }}
    group by users.user_id
),

-- The session of the registration is the first one.
returned as (
    select users.user_id, sessions.session_start as third_session_at
    from users
    inner join {{ ref('sessions') }} as sessions
        on
            users.user_id = sessions.visitor
            and sessions.session_start > users.registered_at
            and sessions.session_start <= dateadd('day', 7, users.registered_at)
    where {{ on_dates('sessions.session_start::date', later_dates) }}
    qualify row_number() over (partition by users.user_id order by sessions.session_start, sessions.session_id) = 2
),

viewed as (
    select users.user_id, users.registered_at, min(views.event_time) as upgrade_viewed_at
    from users
    inner join {{ ref('page_views') }} as views
        on
            users.user_id = views.user_id
            and views.event_time between users.registered_at and dateadd('day', 30, users.registered_at)
    where views.page = 'Upgrade' and {{ on_dates('views.activity_date', later_dates) }}
    group by users.user_id, users.registered_at
),

upgraded as (
    select viewed.user_id, min(changes.event_time) as upgraded_at
    from viewed
    inner join {{ ref('level_changes') }} as changes
        on
            viewed.user_id = changes.user_id
            and changes.event_time between viewed.upgrade_viewed_at and dateadd('day', 30, viewed.registered_at)
    where changes.level_before = 'free' and {{ on_dates('changes.activity_date', later_dates) }}
    group by viewed.user_id
)

select
    users.user_id,
    users.registered_on,
    users.country,
    users.registered_at,
    streamed.first_stream_at,
    coalesce(streamed.streams_24h, 0) as streams_24h,
    returned.third_session_at,
    viewed.upgrade_viewed_at,
    upgraded.upgraded_at
from users
left join streamed on users.user_id = streamed.user_id
left join returned on users.user_id = returned.user_id
left join viewed on users.user_id = viewed.user_id
left join upgraded on users.user_id = upgraded.user_id
