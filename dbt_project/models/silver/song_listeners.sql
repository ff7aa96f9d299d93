-- The date on which each user first listened to each song.
{{ config(
    materialized='windowed',
    incremental_strategy='replace_firsts',
    meta={'tier': 'policy', 'subjects': ['events', 'songs', 'listens'], 'notes': 'song_firsts'},
    unique_key=['song_key', 'user_id'],
    pre_hook="{{ note_everything('song_firsts') }}"
) }}
{%- set window = open_window() %}
-- depends_on: {{ ref('events') }} {{ ref('listens') }} {{ ref('dim_songs') }}

{{ first_listens('song_key', 'listens.song_key', window) }}
