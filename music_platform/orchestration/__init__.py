"""Everything that imports Dagster: assets, checks, jobs, sensors, schedules, resources and the store of runs.

Deliberately thin: an op opens sessions, calls `ingestion` or dbt and reports. Does not belong here: how a batch is
read, written or loaded. Private names of Dagster are imported in `_dagster` only.
"""
