"""The local stack: broker, Spark Connect, local warehouse and Dagster as supervised processes of one home.

Does not belong here: anything that production also needs. The platform only knows addresses
(`music_platform.settings`), so only the command line and the watch import this room.
"""
