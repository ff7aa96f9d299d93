-- The statements, with their songs. A statement is closed once the time of the latest record is past its close.
{{ config(materialized='view', meta={'tier': 'policy'}) }}

with as_of as (
    select date_trunc('month', dateadd('day', -{{ var('royalty_close_days') }}, max(last_record_at)))::date as open_month
    from {{ ref('dim_dates') }}
)

select
    amounts.statement_month,
    amounts.activity_month,
    amounts.country,
    amounts.plan,
    amounts.song_key,
    songs.song_title,
    songs.artist_id,
    songs.label,
    case when amounts.statement_month = amounts.activity_month then 'statement' else 'adjustment' end as entry,
    amounts.streams,
    amounts.pro_rata_cents,
    amounts.user_centric_cents,
    amounts.statement_month < as_of.open_month as is_complete
from {{ ref('royalty_amounts') }} as amounts
cross join as_of
left join {{ ref('dim_songs') }} as songs on amounts.song_key = songs.song_key
