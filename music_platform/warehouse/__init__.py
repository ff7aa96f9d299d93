"""Snowflake: the connection, the tables of RAW and OPS, and the loads into them."""
