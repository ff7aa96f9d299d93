"""The local warehouse: Snowflake's wire protocol and SQL on this machine.

fakesnow translates Snowflake's SQL to DuckDB's, for unit tests. This package serves it from a process of its own and
fixes what dbt, Snowflake's connector and data loaders run into, so that they run unchanged.

    server ─▶ requests ─▶ sessions ─▶ execution ─┬─▶ statements               rewrites of the syntax tree
                                                 ├─▶ merge, loading, stages   MERGE, COPY, PUT
                                                 ├─▶ ddl, tables, comments    CREATE, ALTER, DROP, COMMENT
                                                 ├─▶ commands                 USE, ALTER SESSION, GRANT, …
                                                 ├─▶ cursor, _fakesnow        translation, and running it
                                                 ├─▶ transactions, locks      when it may run
                                                 ├─▶ results, errors          what the client sees
                                                 └─▶ storage, catalogue       what is kept

The package's README.md lists each fix with its reason and its test, and the differences from Snowflake that remain.
"""
