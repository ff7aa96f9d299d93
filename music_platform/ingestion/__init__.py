"""From topics and files to the lake and RAW: draining, backlog, gaps, recovery, redrive, maintenance.

Decides and does the work on a batch. Does not belong here: anything that knows Dagster (`orchestration`), anything that
starts a service (`stack`).
"""
