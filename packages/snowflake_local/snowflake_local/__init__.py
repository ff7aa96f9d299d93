"""The local warehouse: Snowflake's wire protocol and SQL on this machine.

`fakesnow` translates Snowflake's SQL to DuckDB's and is a double for unit tests. This package puts it behind a launcher
of our own and mends what the platform, dbt and the connector meet, so that they run unchanged.

    server ─▶ requests ─▶ sessions ─▶ execution ─┬─▶ statements               rewrites of the syntax tree
                                                 ├─▶ merge, loading, stages   MERGE, COPY, PUT
                                                 ├─▶ ddl, tables, comments    CREATE, ALTER, DROP, COMMENT
                                                 ├─▶ commands                 USE, ALTER SESSION, GRANT, …
                                                 ├─▶ cursor, _fakesnow        translation, and running it
                                                 ├─▶ transactions, locks      when it may run
                                                 ├─▶ results, errors          what the client sees
                                                 └─▶ storage, catalogue       what is kept

The package's README.md lists each mend with its reason and its test, and what differs from Snowflake all the same.
"""
