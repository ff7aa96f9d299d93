"""The catalogue views behind INFORMATION_SCHEMA, SHOW and DESCRIBE, created again at each start.

fakesnow's own views lack what dbt's docs and schema look-ups need: views in INFORMATION_SCHEMA.TABLES, comments, row
counts, and Snowflake's names for DuckDB's integer types. They also show DuckDB's internal schemas. Comments are
DuckDB's own (`COMMENT ON`), so they are dropped with their table.
"""

from snowflake_local._fakesnow import CATALOGUE, CATALOGUE_DATABASE, SCHEMA, TEXT_LENGTHS
from snowflake_local.quoting import literal

#: 1970 means "unknown": DuckDB records no time of creation or change.
UNKNOWN_TIME = "to_timestamp(0)::timestamptz"
INTERNAL_SCHEMAS = f"('{SCHEMA}', 'information_schema', 'pg_catalog', 'main')"

_RELATIONS = f"""
CREATE OR REPLACE VIEW {CATALOGUE}._relations AS
SELECT database_name, schema_name, table_name AS name, 'BASE TABLE' AS table_type, estimated_size AS row_count,
       comment, NULL::VARCHAR AS definition
FROM duckdb_tables() WHERE NOT internal AND NOT temporary AND schema_name NOT IN {INTERNAL_SCHEMAS}
UNION ALL
SELECT database_name, schema_name, view_name, 'VIEW', NULL, comment, sql
FROM duckdb_views() WHERE NOT internal AND NOT temporary AND schema_name NOT IN {INTERNAL_SCHEMAS}
"""

_COLUMNS = f"""
CREATE OR REPLACE VIEW {CATALOGUE}._fs_columns AS
SELECT
    c.database_name AS TABLE_CATALOG, c.schema_name AS TABLE_SCHEMA, c.table_name AS TABLE_NAME,
    c.column_name AS COLUMN_NAME, c.column_index AS ORDINAL_POSITION, c.column_default AS COLUMN_DEFAULT,
    CASE WHEN c.is_nullable THEN 'YES' ELSE 'NO' END AS IS_NULLABLE,
    CASE WHEN c.data_type LIKE 'DECIMAL%' OR c.data_type LIKE '%INT' OR c.data_type = 'INTEGER' THEN 'NUMBER'
         WHEN c.data_type = 'VARCHAR' THEN 'TEXT'
         WHEN c.data_type IN ('DOUBLE', 'FLOAT') THEN 'FLOAT'
         WHEN c.data_type = 'BLOB' THEN 'BINARY'
         WHEN c.data_type = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP_TZ'
         WHEN c.data_type LIKE 'TIMESTAMP%' THEN 'TIMESTAMP_NTZ'
         WHEN c.data_type LIKE '%[]' THEN 'ARRAY'
         WHEN c.data_type = 'JSON' OR c.data_type LIKE 'STRUCT%' OR c.data_type LIKE 'MAP%' THEN 'VARIANT'
         ELSE c.data_type END AS DATA_TYPE,
    CASE WHEN c.data_type = 'VARCHAR' THEN coalesce(ext_character_maximum_length, 16777216) END
        AS CHARACTER_MAXIMUM_LENGTH,
    CASE WHEN c.data_type = 'VARCHAR' THEN coalesce(ext_character_octet_length, 16777216) END
        AS CHARACTER_OCTET_LENGTH,
    CASE WHEN c.data_type LIKE 'DECIMAL%' THEN c.numeric_precision
         WHEN c.data_type LIKE '%INT' OR c.data_type = 'INTEGER' THEN 38 END AS NUMERIC_PRECISION,
    CASE WHEN c.data_type LIKE 'DECIMAL%' OR c.data_type LIKE '%INT' OR c.data_type = 'INTEGER' THEN 10 END
        AS NUMERIC_PRECISION_RADIX,
    CASE WHEN c.data_type LIKE 'DECIMAL%' THEN c.numeric_scale
         WHEN c.data_type LIKE '%INT' OR c.data_type = 'INTEGER' THEN 0 END AS NUMERIC_SCALE,
    CASE WHEN c.data_type LIKE 'TIMESTAMP%' THEN 9 END AS DATETIME_PRECISION,
    NULL::VARCHAR AS COLLATION_NAME, 'NO' AS IS_IDENTITY, NULL::VARCHAR AS IDENTITY_GENERATION,
    NULL::VARCHAR AS IDENTITY_CYCLE, c.comment AS COMMENT, NULL::VARCHAR AS IDENTITY_START,
    NULL::VARCHAR AS IDENTITY_INCREMENT, NULL::VARCHAR AS IDENTITY_ORDERED, NULL::VARCHAR AS DATA_TYPE_ALIAS
FROM duckdb_columns() c
LEFT JOIN {TEXT_LENGTHS} ext
  ON ext_table_catalog = c.database_name AND ext_table_schema = c.schema_name
 AND ext_table_name = c.table_name AND ext_column_name = c.column_name
WHERE NOT c.internal AND c.database_name NOT IN ('temp', 'memory', '{CATALOGUE_DATABASE}')
  AND c.schema_name NOT IN {INTERNAL_SCHEMAS}
"""

_SHOW_OBJECTS = f"""
CREATE OR REPLACE VIEW {CATALOGUE}._fs_show_objects AS
SELECT {UNKNOWN_TIME} AS created_on, name, database_name, schema_name,
       CASE table_type WHEN 'BASE TABLE' THEN 'TABLE' ELSE table_type END AS kind, coalesce(comment, '') AS comment,
       '' AS cluster_by, row_count AS rows, row_count * 1024 AS bytes, 'SYSADMIN' AS owner, 1 AS retention_time,
       'ROLE' AS owner_role_type, 'N' AS is_hybrid, 'N' AS is_dynamic, 'N' AS is_iceberg
FROM {CATALOGUE}._relations WHERE database_name <> '{CATALOGUE_DATABASE}' ORDER BY database_name, schema_name, name
"""

_SHOW_TABLES = f"""
CREATE OR REPLACE VIEW {CATALOGUE}._fs_show_tables AS
SELECT created_on, name, kind, database_name, schema_name, comment, cluster_by, rows, bytes, owner, retention_time,
       'OFF' AS automatic_clustering, 'OFF' AS change_tracking, 'OFF' AS search_optimization,
       NULL AS search_optimization_progress, NULL AS search_optimization_bytes, 'N' AS is_external,
       'N' AS enable_schema_evolution, owner_role_type, 'N' AS is_event, NULL AS budget, is_hybrid, is_iceberg,
       is_dynamic, 'N' AS is_immutable
FROM {CATALOGUE}._fs_show_objects WHERE kind = 'TABLE'
"""

_SHOW_VIEWS = f"""
CREATE OR REPLACE VIEW {CATALOGUE}._fs_show_views AS
SELECT {UNKNOWN_TIME} AS created_on, name, '' AS reserved, database_name, schema_name, 'SYSADMIN' AS owner,
       coalesce(comment, '') AS comment, definition AS text, false AS is_secure, false AS is_materialized,
       'ROLE' AS owner_role_type, 'OFF' AS change_tracking
FROM {CATALOGUE}._relations
WHERE table_type = 'VIEW' AND database_name <> '{CATALOGUE_DATABASE}' ORDER BY database_name, schema_name, name
"""

_SHOW_DATABASES = f"""
CREATE OR REPLACE VIEW {CATALOGUE}._fs_show_databases AS
SELECT {UNKNOWN_TIME} AS created_on, database_name AS name, 'N' AS is_default, 'N' AS is_current, '' AS origin,
       'SYSADMIN' AS owner, comment, '' AS options, 1 AS retention_time, 'STANDARD' AS kind, NULL AS budget,
       'ROLE' AS owner_role_type, NULL AS object_visibility
FROM duckdb_databases() WHERE NOT internal AND database_name NOT IN ('memory', '{CATALOGUE_DATABASE}')
"""

#: Views over all databases, in fakesnow's own database. The order matters: later views read earlier ones.
ACCOUNT_VIEWS = (_RELATIONS, _COLUMNS, _SHOW_OBJECTS, _SHOW_TABLES, _SHOW_VIEWS, _SHOW_DATABASES)

_TABLES = """
CREATE OR REPLACE VIEW "{database}".{information_schema}._fs_tables AS
SELECT database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, name AS TABLE_NAME, 'SYSADMIN' AS TABLE_OWNER,
       table_type AS TABLE_TYPE, 'NO' AS IS_TRANSIENT, NULL::VARCHAR AS CLUSTERING_KEY, row_count AS ROW_COUNT,
       row_count * 1024 AS BYTES, 1 AS RETENTION_TIME, 'YES' AS IS_INSERTABLE_INTO, 'YES' AS IS_TYPED,
       {unknown} AS CREATED, {unknown} AS LAST_ALTERED, {unknown} AS LAST_DDL, 'SYSADMIN' AS LAST_DDL_BY,
       'NO' AS AUTO_CLUSTERING_ON, comment AS COMMENT, 'NO' AS IS_TEMPORARY, 'NO' AS IS_ICEBERG, 'NO' AS IS_DYNAMIC,
       'NO' AS IS_IMMUTABLE, 'NO' AS IS_HYBRID
FROM {catalogue}._relations WHERE database_name = '{database}'
"""

_VIEWS = """
CREATE OR REPLACE VIEW "{database}".{information_schema}._fs_views AS
SELECT database_name AS TABLE_CATALOG, schema_name AS TABLE_SCHEMA, name AS TABLE_NAME, 'SYSADMIN' AS TABLE_OWNER,
       definition AS VIEW_DEFINITION, 'NONE' AS CHECK_OPTION, 'NO' AS IS_UPDATABLE, 'NO' AS INSERTABLE_INTO,
       'NO' AS IS_SECURE, {unknown} AS CREATED, {unknown} AS LAST_ALTERED, {unknown} AS LAST_DDL,
       'SYSADMIN' AS LAST_DDL_BY, comment AS COMMENT
FROM {catalogue}._relations WHERE database_name = '{database}' AND table_type = 'VIEW'
"""


def database_views(database: str) -> tuple[str, ...]:
    """Statements that replace fakesnow's views in one database's INFORMATION_SCHEMA."""
    return tuple(
        view.format(
            database=database.replace('"', '""'), catalogue=CATALOGUE, information_schema=SCHEMA, unknown=UNKNOWN_TIME
        )
        for view in (_TABLES, _VIEWS)
    )


def describe_sql(database: str, schema: str, table: str) -> str:
    """The query behind DESCRIBE TABLE. It reads a view over all databases, so it is not limited to the session's."""
    name = " AND ".join(
        f"{column} = {literal(value)}"
        for column, value in (("table_catalog", database), ("table_schema", schema), ("table_name", table))
    )
    return f"""
        SELECT column_name AS "name",
               CASE data_type WHEN 'NUMBER' THEN 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')'
                              WHEN 'TEXT' THEN 'VARCHAR(' || character_maximum_length || ')'
                              WHEN 'TIMESTAMP_NTZ' THEN 'TIMESTAMP_NTZ(9)' WHEN 'TIMESTAMP_TZ' THEN 'TIMESTAMP_TZ(9)'
                              WHEN 'TIME' THEN 'TIME(9)' WHEN 'BINARY' THEN 'BINARY(8388608)' ELSE data_type END
                   AS "type",
               'COLUMN' AS "kind", CASE is_nullable WHEN 'YES' THEN 'Y' ELSE 'N' END AS "null?",
               column_default AS "default", 'N' AS "primary key", 'N' AS "unique key", NULL::VARCHAR AS "check",
               NULL::VARCHAR AS "expression", comment AS "comment", NULL::VARCHAR AS "policy name",
               NULL::JSON AS "privacy domain"
        FROM {CATALOGUE}._fs_columns WHERE {name} ORDER BY ordinal_position
    """
