-- Pairs (artist, title) that identify exactly one song of the catalogue, byte for byte.
{{ config(materialized='view') }}

select
    artist_name,
    title,
    min(song_id) as song_id
from {{ ref('stg_songs') }}
where artist_name is not null and title is not null
group by artist_name, title
having count(*) = 1
