-- The song that each name in events refers to, resolved in one place. A name is (song id, artist, title) as the producer wrote
-- it. When a new catalogue makes a name refer to another song, the dates of its events are noted, so that only those are
-- rebuilt.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_names',
    meta={'reference': true},
    unique_key=['song_id', 'artist', 'song'],
    pre_hook="{{ note_everything('songs') }}"
) }}
{%- set window = open_window() %}

with names as (
    {{ seen_values(
        {'song_id': 'song_id', 'artist': 'artist', 'song': 'song'},
        "event_kind in ('listen', 'page_view') and (song_id is not null or (artist is not null and song is not null))",
        window
    ) }}
),

keyed as (
    select
        names.song_id,
        names.artist,
        names.song,
        coalesce(names.song_id, pairs.song_id, {{ inferred_key(['names.artist', 'names.song']) }}) as song_key
    from names
    left join {{ ref('song_pairs') }} as pairs
        on names.song_id is null and names.artist = pairs.artist_name and names.song = pairs.title
),

-- A song that is not in the catalogue gets the alphabetically first of its names.
named as (
    select
        *,
        coalesce(min(song) over (partition by song_key), 'Unknown') as first_title,
        coalesce(min(artist) over (partition by song_key), 'Unknown') as first_artist
    from keyed
),

-- Names that exactly one artist of the catalogue has. Any other name is an inferred artist.
artist_names as (
    select artist_name, min(artist_id) as artist_id
    from {{ ref('stg_artists') }}
    group by artist_name
    having count(*) = 1
)

select
    named.song_id,
    named.artist,
    named.song,
    named.song_key,
    catalogue.song_id is null as is_inferred,
    case when catalogue.song_id is null then named.first_title else catalogue.title end as song_title,
    case when catalogue.song_id is null
        then coalesce(artist_names.artist_id, {{ inferred_key(['named.first_artist']) }})
        else catalogue.artist_id end as artist_id,
    case when catalogue.song_id is null then named.first_artist else catalogue.artist_name end as artist_name,
    case when catalogue.song_id is null then 'Unknown' else coalesce(catalogue.genre, 'Unknown') end as genre,
    catalogue.release_year
from named
left join {{ ref('stg_songs') }} as catalogue on named.song_key = catalogue.song_id
left join artist_names on named.first_artist = artist_names.artist_name
