{% macro open_window() %}{{ {} }}{% endmacro %}
{% macro dates_to_build(window) %}dates{% endmacro %}
{% macro touched_dates(window, subjects=[]) %}dates{% endmacro %}
{% macro dates_of_events(window) %}dates{% endmacro %}
{% macro dates_of_changed_sessions(window) %}dates{% endmacro %}
{% macro shifted(dates, days) %}dates{% endmacro %}
{% macro dates_of(period, dates) %}dates{% endmacro %}
{% macro last_date_of(period, column) %}{{ column }}{% endmacro %}
{% macro months_before(months) %}dates{% endmacro %}
{% macro rebuild_dates() %}{% endmacro %}
{% macro live_marts() %}{% endmacro %}
{% macro versions_to_measure(marts) %}{% endmacro %}
{% macro note_everything(subject) %}{% endmacro %}
{% macro on_dates(column, dates) %}{{ column }} in ('2026-06-01'::date){% endmacro %}
{% macro rows_to_build(window) %}activity_date in ('2026-06-01'::date){% endmacro %}
{% macro in_years(column, starts) %}{{ column }} >= '2026-01-01'::date{% endmacro %}
{% macro in_versions(column, versions) %}{{ column }} in (1){% endmacro %}
{% macro arrived_in(relation, window) %}{{ relation }}batch_id > 1{% endmacro %}
{% macro changed_events(columns, window) %}select {{ columns | join(', ') }} from events{% endmacro %}
{% macro seen_values(columns, condition, window) %}select distinct {{ columns.keys() | join(', ') }} from events{% endmacro %}
{% macro dates_of_session_numbers(window) %}dates{% endmacro %}
{% macro session_subjects() %}{% endmacro %}
{% macro reached_sessions(window) %}session_id in (1){% endmacro %}
{% macro dates_of_reached_sessions(window) %}dates{% endmacro %}
{% macro numbers_below(count) %}select 0 as n{% endmacro %}
{% macro arrival_order() %}kafka_timestamp{% endmacro %}
{% macro event_order() %}event_time{% endmacro %}
{% macro visitor() %}user_id{% endmacro %}
{% macro level_after() %}level_after{% endmacro %}
{% macro state_order() %}event_time{% endmacro %}
{% macro ends_a_song(page) %}{{ page }} = 'Skip'{% endmacro %}
{% macro starts_a_song() %}event_kind = 'listen'{% endmacro %}
{% macro plays_until() %}event_time{% endmacro %}
{% macro opens_a_session(before, at) %}{{ before }} < {{ at }}{% endmacro %}
{% macro who_and_where() %}events.event_id{% endmacro %}
{% macro song_key() %}names.song_key{% endmacro %}
{% macro on_names() %}events.song_id = names.song_id{% endmacro %}
{% macro inferred_key(names) %}sha2({{ names[0] }}){% endmacro %}
{% macro later_fields() %}{% endmacro %}
{% macro is_continued() %}{{ true }}{% endmacro %}
{% macro first_listens(column, key, window) %}select {{ column }}, user_id, first_on from listens{% endmacro %}
{% macro registrations() %}select user_id, registered_at, registered_on, country from users{% endmacro %}
{% macro registrations_to_build(window) %}dates{% endmacro %}
{% macro months_up_to(months, count) %}dates{% endmacro %}
