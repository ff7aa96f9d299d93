-- Artists of the catalogue, and inferred ones that appear only in events.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'reference': true},
    unique_key=['artist_id']
) }}
{%- do open_window() %}

with catalogue as (
    select
        artist_id,
        coalesce(artist_name, 'Unknown') as artist_name,
        home_city,
        home_state,
        false as is_inferred
    from {{ ref('stg_artists') }}
)

select * from catalogue
union all
select
    songs.artist_id,
    min(songs.artist_name) as artist_name,
    null as home_city,
    null as home_state,
    true as is_inferred
from {{ ref('dim_songs') }} as songs
left join catalogue on songs.artist_id = catalogue.artist_id
where catalogue.artist_id is null
group by songs.artist_id
