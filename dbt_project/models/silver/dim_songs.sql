-- Songs of the catalogue, and inferred ones that appear only in events. What the catalogue does not say is unknown.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_changed',
    meta={'reference': true},
    unique_key=['song_key']
) }}
{%- do open_window() %}

select
    song_id as song_key,
    coalesce(title, 'Unknown') as song_title,
    coalesce(artist_id, 'unknown') as artist_id,
    coalesce(artist_name, 'Unknown') as artist_name,
    coalesce(genre, 'Unknown') as genre,
    release_year,
    coalesce(label, 'Unknown') as label,
    false as is_inferred
from {{ ref('stg_songs') }}
union all
select distinct
    song_key,
    song_title,
    artist_id,
    artist_name,
    genre,
    release_year,
    'Unknown' as label,
    is_inferred
from {{ ref('song_names') }}
where is_inferred
