"""From topics and files to the lake and RAW: draining, backlog, gaps, recovery, redrive, maintenance.

Decides what to ingest and ingests it. Does not belong here: anything that knows Dagster (`orchestration`), anything
that starts a service (`stack`).
"""
