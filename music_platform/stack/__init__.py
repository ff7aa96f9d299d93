"""The local stack: broker, Spark Connect, local warehouse and Dagster as supervised processes of one home.

Does not belong here: what production needs too. The platform knows addresses only (`music_platform.settings`), so only
the command line and the watch import this room.
"""
