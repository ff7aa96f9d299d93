"""Observes the platform from outside and alerts people: the watch and its messages.

Does not belong here: asset checks and sensors, which are Dagster's (`orchestration`). The watch is a separate process,
so that it can report a daemon that is down.
"""
