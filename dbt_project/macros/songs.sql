{# Key of a song or artist that is not in the catalogue: sha2 of the JSON array of its names. #}
{% macro inferred_key(names) -%}
    sha2(to_json(array_construct({{ names | join(', ') }})), 256)
{%- endmacro %}

{# The key of an event's song; needs the relations `events` and `names` (model song_names, joined by `on_names`). #}
{% macro song_key() -%} coalesce(events.song_id, names.song_key) {%- endmacro %}

{# An event without a song id is matched by its artist and song names, byte for byte. #}
{% macro on_names() -%}
    events.song_id is null and names.song_id is null and events.artist = names.artist and events.song = names.song
{%- endmacro %}
