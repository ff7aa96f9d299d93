-- Largest remainder, in whole numbers: `given` shares of a pool, rests of the division decide about the last cents.
with eligible as (
    select
        date_trunc('month', day)::date as month, coalesce(country, 'Unknown') as country, level as plan, user_id, song_id,
        title, artist_id,
        greatest(
            date_trunc('month', day), date_trunc('month', coalesce(recorded_at, ts) - to_days(royalty_close_days()))
        )::date as statement
    from judged where ineligible_reason is null
),
statements as (select distinct month, country, plan, statement as stated from eligible),
common as (
    select a.month, a.stated, b.song_id
    from (select distinct month, stated from statements) as a
    join eligible as b on b.month between a.month - interval 11 month and a.month and b.statement <= a.stated
    group by all having count(*) >= royalty_least_streams()
),
known as (
    select eligible.*, stated from eligible join statements using (month, country, plan) join common using (month, stated, song_id)
    where eligible.statement <= stated
),
by_user as (
    select month, country, plan, stated, user_id, song_id, count(*) as streams from known group by all
),
parted as (
    select *, streams * 1000000000 // sum(streams) over (partition by month, country, plan, stated, user_id) as parts from by_user
),
weighed as (
    select month, country, plan, stated, song_id, sum(streams)::hugeint as streams, sum(parts)::hugeint as parts
    from parted group by all
),
divided as (
    select
        *,
        streams * royalty_pool_cents() // sum(streams) over pool as pro_rata,
        streams * royalty_pool_cents() % sum(streams) over pool as pro_rata_rest,
        parts * royalty_pool_cents() // sum(parts) over pool as user_centric,
        parts * royalty_pool_cents() % sum(parts) over pool as user_centric_rest
    from weighed window pool as (partition by month, country, plan, stated)
),
rounded as (
    select
        *,
        pro_rata + if(row_number() over (pool order by pro_rata_rest desc, song_id)
            <= royalty_pool_cents() - sum(pro_rata) over pool, 1, 0) as pro_rata_cents,
        user_centric + if(row_number() over (pool order by user_centric_rest desc, song_id)
            <= royalty_pool_cents() - sum(user_centric) over pool, 1, 0) as user_centric_cents
    from divided window pool as (partition by month, country, plan, stated)
),
adjusted as (
    select
        stated, month, country, plan, song_id,
        streams - coalesce(lag(streams) over entries, 0) as streams,
        pro_rata_cents - coalesce(lag(pro_rata_cents) over entries, 0) as pro_rata_cents,
        user_centric_cents - coalesce(lag(user_centric_cents) over entries, 0) as user_centric_cents
    from rounded window entries as (partition by month, country, plan, song_id order by stated)
)
select
    stated as statement_month, month as activity_month, country, plan, song_id as song_key, songs.title as song_title,
    songs.artist_id, songs.label, if(stated = month, 'statement', 'adjustment') as entry, streams::bigint as streams,
    pro_rata_cents::bigint as pro_rata_cents, user_centric_cents::bigint as user_centric_cents,
    complete(stated + interval 1 month + to_days(royalty_close_days())) as is_complete
from adjusted join songs using (song_id)
where streams <> 0 or pro_rata_cents <> 0 or user_centric_cents <> 0
order by statement_month, activity_month, country, plan, song_key
