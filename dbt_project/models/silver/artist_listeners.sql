-- The date on which each user first listened to each artist.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_firsts',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens'], 'notes': 'artist_firsts'},
    unique_key=['artist_id', 'user_id'],
    pre_hook="{{ note_everything('artist_firsts') }}"
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }} {{ ref('listens') }} {{ ref('dim_songs') }}

{{ first_listens('artist_id', 'songs.artist_id', window) }}
