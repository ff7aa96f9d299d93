"""Snowflake: the connection, the tables of RAW and OPS, loads into them, and the setup of an account.

Does not belong here: the models (`dbt_project`), or when to load (`ingestion`).
"""
