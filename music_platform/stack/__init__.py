"""The embedded defaults: Kafka, Spark Connect, the local warehouse and Dagster as supervised processes of one home.

Everything that a cluster would offer, as local processes under `MUSIC_HOME`. The platform itself knows only addresses
(`music_platform.settings`), so nothing outside this package and the command line imports it.
"""
