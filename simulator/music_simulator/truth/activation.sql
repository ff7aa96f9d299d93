with joined as (
    select
        user_id, min(registered_at) as registered_at,
        coalesce(arg_min(country, (ts, session_id, item, kind)) filter (where country is not null), 'Unknown') as country
    from event where user_id is not null group by user_id
),
streamed as (
    select user_id, min(ts) as first_stream_at, count(*) filter (where ts < joined.registered_at + interval 24 hour) as streams_24h
    from listen join joined using (user_id)
    where is_stream and ts between joined.registered_at and joined.registered_at + interval 30 day group by user_id
),
viewed as (
    select user_id, joined.registered_at, min(ts) as upgrade_viewed_at from event join joined using (user_id)
    where kind = 'page_view' and page = 'Upgrade' and ts between joined.registered_at and joined.registered_at + interval 30 day
    group by all
),
bought as (
    select user_id, min(ts) as upgraded_at from event join viewed using (user_id)
    where kind = 'status_change' and level = 'free' and ts between upgrade_viewed_at and viewed.registered_at + interval 30 day
    group by user_id
),
visited as (
    select visitor as user_id, session_start, row_number() over (partition by visitor order by session_start) as n
    from session join joined on joined.user_id = session.visitor
    where session_start > joined.registered_at and session_start <= joined.registered_at + interval 7 day
)
select
    joined.user_id, joined.registered_at::date as registered_on, country, joined.registered_at, first_stream_at,
    coalesce(streams_24h, 0) as streams_24h, visited.session_start as third_session_at, upgrade_viewed_at, upgraded_at
from joined
left join streamed using (user_id)
left join (select * from visited where n = 2) as visited using (user_id)
left join viewed using (user_id)
left join bought using (user_id)
order by user_id
