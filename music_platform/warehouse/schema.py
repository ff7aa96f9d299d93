"""The tables of RAW and OPS, created additively: existing tables and columns stay, missing ones are added."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from music_platform.contracts import events, reference
from music_platform.contracts.events import SNOWFLAKE_TYPES, Column, ColumnType
from music_platform.errors import PlatformError
from music_platform.settings import Settings
from music_platform.warehouse.connection import connect, warehouse_address

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

SCHEMAS = ("RAW", "STAGING", "SILVER", "GOLD", "OPS")

RAW_EVENTS = "RAW.EVENTS"
#: Internal stage through which a lake on a local disk is loaded.
LAKE_STAGE = "RAW.LAKE"
#: External stage over the lake's folder in an object store; created by the setup SQL (`account`).
LAKE_FILES_STAGE = "RAW.LAKE_FILES"

LOAD_STATE, LOADS = "OPS.LOAD_STATE", "OPS.LOADS"
BUILDS, TOUCHED_DATES, DISPLACED_EVENTS = "OPS.BUILDS", "OPS.TOUCHED_DATES", "OPS.DISPLACED_EVENTS"
GAPS, RECONCILED = "OPS.GAPS", "OPS.RECONCILED"
CHECKED_BATCHES = "OPS.CHECKED_BATCHES"
CHECK_RESULTS = "OPS.CHECK_RESULTS"
MODEL_VERSIONS = "OPS.MODEL_VERSIONS"

#: Policy that masks personal columns of a type for the reading role; created by the setup SQL (`account`).
MASKING_POLICIES: dict[ColumnType, str] = {
    ColumnType.STRING: "OPS.PERSONAL_TEXT",
    ColumnType.DOUBLE: "OPS.PERSONAL_NUMBER",
    ColumnType.VARIANT: "OPS.PERSONAL_VARIANT",
}

#: View: quarantined rows, and what became of them.
QUARANTINE = "OPS.QUARANTINE"
#: Views for readers, who see no ledger: up to when each model is complete, the latest verdict of each check, and what
#: was learned and is current.
FRESHNESS, CHECKS, LEARNED = "OPS.FRESHNESS", "OPS.CHECKS", "OPS.LEARNED"

T = ColumnType

OPS_TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    LOAD_STATE: ("Watermark of each loaded table: the lake version up to which it is loaded.", (
        Column("table_name", T.STRING, "Table in RAW."),
        Column("last_version", T.BIGINT, "Version of the lake table up to which every row is loaded; -1 if none is."),
        Column("updated_at", T.TIMESTAMP, "When the watermark was last moved, UTC."),
        Column("rebuilding", T.BIGINT, "Version from which the table is being rebuilt; NULL if it is not."),
    )),
    LOADS: ("Ledger of loads: one row per load of a range of versions of the lake table.", (
        Column("table_name", T.STRING, "Table in RAW."),
        Column("version", T.BIGINT, "Last version of the lake table that the load covers; batch_id of its rows."),
        Column("files", T.BIGINT, "Number of files that the versions added."),
        Column("row_count", T.BIGINT, "Number of rows that the versions added."),
        Column("committed_at", T.TIMESTAMP, "When the last version was committed to the lake, UTC."),
        Column("loaded_at", T.TIMESTAMP, "When they were loaded, UTC."),
        Column("first_version", T.BIGINT, "First version that the load covers; NULL of loads of a single version from "
               "before it was noted."),
    )),
    BUILDS: ("Ledger of builds: one row per build of a table, or change of a view or seed.", (
        Column("model", T.STRING, "Name of the dbt model or seed."),
        Column("version", T.BIGINT, "Version of the lake table that the build covers."),
        Column("built_at", T.TIMESTAMP, "When the build ended, UTC; NULL while it runs or if it died."),
        Column("invocation_id", T.STRING, "dbt's id of the invocation."),
        Column("build", T.BIGINT, "Number of the build of events that the model is up to date with."),
        Column("since_build", T.BIGINT, "The same number for the model's previous build."),
        Column("since_version", T.BIGINT, "Version of the lake table that the model's previous build covered."),
        Column("formula", T.STRING, "Checksum of what the rows come from; NULL if unknown, or while it is created."),
        Column("access", T.STRING, "The table's masking policies and the role that reads it."),
        Column("next_invocation", T.STRING, "dbt's id of the invocation that built it next; NULL of the latest."),
    )),
    TOUCHED_DATES: ("Dates whose rows a build has changed in silver, for downstream models.", (
        Column("build", T.BIGINT, "Number of the build."),
        Column("event_date", T.DATE, "Date of the rows that were added or removed; NULL if it may be any date."),
        Column("subject", T.STRING, "What was added or removed: 'rivals' (records), 'events', 'songs' (names), "
               "'sessions', 'listens', 'visitors' (of session numbers)."),
    )),
    DISPLACED_EVENTS: ("Events whose record was displaced by another one with the same id but other content.", (
        Column("build", T.BIGINT, "Number of the build."),
        Column("event_id", T.STRING, "Id of the event."),
        Column("event_kind", T.STRING, "Kind of the displaced event."),
        Column("activity_date", T.DATE, "Its date."),
        Column("user_id", T.STRING, "Its user."),
        Column("session_id", T.BIGINT, "Its session number."),
        Column("song_id", T.STRING, "Its song id."),
        Column("artist", T.STRING, "Its artist, as the producer wrote it."),
        Column("song", T.STRING, "Its song, as the producer wrote it."),
    )),
    GAPS: ("Losses that someone has accepted: ranges of offsets that are in no row.", (
        Column("kafka_topic", T.STRING, "Topic."),
        Column("kafka_topic_id", T.STRING, "Kafka's id of the topic."),
        Column("kafka_partition", T.BIGINT, "Partition."),
        Column("first_offset", T.BIGINT, "First lost offset."),
        Column("last_offset", T.BIGINT, "Last lost offset."),
        Column("accepted_at", T.TIMESTAMP, "When the loss was accepted, UTC."),
        Column("accepted_by", T.STRING, "Who accepted it."),
    )),
    RECONCILED: ("How far RAW balances with what was read: one row per partition, and per intake of files.", (
        Column("source", T.STRING, "'kafka' or 'file'."),
        Column("origin", T.STRING, "Topic; for files the id under which their batches were appended to the lake."),
        Column("topic_id", T.STRING, "Kafka's id of the topic; empty for files."),
        Column("kafka_partition", T.BIGINT, "Partition; 0 for files."),
        Column("first_offset", T.BIGINT, "First offset that was read; for files the first batch."),
        Column("end_offset", T.BIGINT, "Offset after the last one that was counted; for files the batch after it."),
        Column("row_count", T.BIGINT, "Rows of RAW before that offset."),
        Column("offset_count", T.BIGINT, "Distinct offsets among them; for files lines."),
        Column("batch_id", T.BIGINT, "Last batch of RAW that was counted; NULL after RAW was rebuilt."),
        Column("reconciled_at", T.TIMESTAMP, "When, UTC."),
        Column("accepted_by", T.STRING, "Who accepted rows that did not balance; NULL if nobody had to."),
    )),
    CHECKED_BATCHES: ("Verdicts of blocking checks on the batches of RAW, so that none lapses.", (
        Column("check_name", T.STRING, "Name of the check."),
        Column("first_batch", T.BIGINT, "First batch_id of the range."),
        Column("last_batch", T.BIGINT, "Last batch_id of the range."),
        Column("passed", T.BOOLEAN, "Whether its rows passed. If not, they are judged again by every run."),
        Column("checked_at", T.TIMESTAMP, "When, UTC."),
        Column("accepted_by", T.STRING, "Who accepted refused rows; NULL if nobody did."),
    )),
    CHECK_RESULTS: ("Latest verdict of each check: one row per check of a table.", (
        Column("model", T.STRING, "Name of the dbt model or seed; of a table that no model makes, its full name."),
        Column("check_name", T.STRING, "Name of the check."),
        Column("kind", T.STRING, "'dbt' for a test of the dbt project, 'platform' for another check."),
        Column("passed", T.BOOLEAN, "Whether it passed."),
        Column("said", T.STRING, "The result in words."),
        Column("checked_at", T.TIMESTAMP, "When, UTC."),
    )),
    MODEL_VERSIONS: ("Ledger of what is learned: one row for each published version that is kept.", (
        Column("model", T.STRING, "Name of the model."),
        Column("version", T.STRING, "Its version: checksum of its code and of the rows it was made from."),
        Column("as_of", T.DATE, "It was made from what happened before this date."),
        Column("published_at", T.TIMESTAMP, "When its rows were loaded, UTC."),
        Column("is_current", T.BOOLEAN, "Whether the model's view shows it."),
        Column("metrics", T.STRING, "How it was measured before it was published, as JSON."),
    )),
}  # fmt: skip


def tables() -> dict[str, tuple[str, tuple[Column, ...]]]:
    """Each table that the platform creates: name → description and columns."""
    raw = {RAW_EVENTS: ("One row per Kafka record or file line, valid or quarantined.", events.raw_columns())}
    references = {f"RAW.{t.name.upper()}": (t.description, t.columns) for t in reference.TABLES}
    return {**raw, **references, **OPS_TABLES}


class NotSetUpError(PlatformError):
    """The account lacks what the setup SQL creates, or the role may not use it."""


def provision_warehouse(settings: Settings) -> None:
    """Create missing tables and the stage, and add missing columns to tables.

    At the local warehouse, create database and schemas too. Raises NotSetUpError if an account lacks them.
    """
    from snowflake.connector.errors import ProgrammingError

    try:
        with connect(settings) as session:
            provision(session, settings)
    except ProgrammingError as error:
        if settings.warehouse_is_local:
            raise
        raise NotSetUpError(
            f"{warehouse_address(settings)} is not set up for role {settings.snowflake_role}: {error.msg}. "
            "music-platform snowflake-setup prints the SQL for an administrator to run once; "
            "music-platform doctor lists what is missing."
        ) from error


def provision(session: "SnowflakeConnection", settings: Settings) -> None:
    """The same in an open session."""
    cursor = session.cursor()
    if settings.warehouse_is_local:
        _create_schemas(cursor, settings.snowflake_database)
    existing = _existing_columns(cursor)
    for name, (description, columns) in tables().items():
        if name not in existing:
            cursor.execute(create_table(name, description, columns))
        for column in columns:
            if name in existing and column.column.upper() not in existing[name]:
                cursor.execute(f"ALTER TABLE {name} ADD COLUMN {column_definition(column)}")
            elif name in existing and column.personal and not settings.warehouse_is_local:
                # It may have become personal after the table was created.
                policy = MASKING_POLICIES[column.sql_type]
                cursor.execute(f"ALTER TABLE {name} MODIFY COLUMN {column.column} SET MASKING POLICY {policy} FORCE")
    cursor.execute(f"CREATE STAGE IF NOT EXISTS {LAKE_STAGE}")
    for view in (quarantine_view(), freshness_view(), checks_view(), learned_view()):
        cursor.execute(view)
    _start_watermarks(session)


def _create_schemas(cursor: "SnowflakeCursor", database: str) -> None:
    """Only for the local warehouse: in an account the setup SQL creates them, and no role of the platform may."""
    cursor.execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    cursor.execute(f"USE DATABASE {database}")
    for schema in SCHEMAS:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")


def quarantine_view() -> str:
    """CREATE VIEW of the quarantined rows: the original record, how often it was redriven, how often successfully."""
    origin = "kafka_topic_id || '/' || kafka_partition || '/' || kafka_offset"
    return (
        f"CREATE OR REPLACE VIEW {QUARANTINE} AS "
        "WITH again AS (SELECT redrive_of, COUNT(*) AS times, COUNT_IF(quarantine_reason IS NULL) AS valid "
        f"FROM {RAW_EVENTS} WHERE redrive_of IS NOT NULL GROUP BY redrive_of), "
        f"bad AS (SELECT COALESCE(redrive_of, {origin}) AS origin, kafka_topic, kafka_topic_id, kafka_partition, "
        "kafka_offset, kafka_timestamp, event_kind, quarantine_reason, payload, payload_base64, key_base64, "
        f"extra IS NOT NULL AS is_cut, redrive_of, ingested_at, batch_id FROM {RAW_EVENTS} "
        "WHERE quarantine_reason IS NOT NULL AND source = 'kafka') "
        "SELECT bad.*, COALESCE(again.times, 0) AS redriven, COALESCE(again.valid, 0) AS redriven_valid "
        "FROM bad LEFT JOIN again ON again.redrive_of = bad.origin"
    )


def freshness_view() -> str:
    """CREATE VIEW of the latest build of each model: `build_id`, the time of the lake up to which every row is in it
    (`complete_until`), and the seconds of the lake that RAW has and the model lacks (`behind_seconds`)."""
    return (
        f"CREATE OR REPLACE VIEW {FRESHNESS} AS "
        "WITH latest AS (SELECT model, invocation_id AS build_id, version, built_at "
        f"FROM {BUILDS} WHERE built_at IS NOT NULL "
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY model ORDER BY built_at DESC) = 1), "
        f"loaded AS (SELECT version, committed_at FROM {LOADS} WHERE table_name = {literal(RAW_EVENTS)}), "
        "newest AS (SELECT MAX(committed_at) AS loaded_until FROM loaded) "
        "SELECT latest.model, latest.build_id, latest.version, latest.built_at, "
        "MAX(loaded.committed_at) AS complete_until, newest.loaded_until, "
        "DATEDIFF('second', MAX(loaded.committed_at), newest.loaded_until) AS behind_seconds "
        "FROM latest CROSS JOIN newest LEFT JOIN loaded ON loaded.version <= latest.version "
        "GROUP BY latest.model, latest.build_id, latest.version, latest.built_at, newest.loaded_until"
    )


def checks_view() -> str:
    """CREATE VIEW of the latest verdict of each check."""
    columns = ", ".join(column.column for column in OPS_TABLES[CHECK_RESULTS][1])
    return f"CREATE OR REPLACE VIEW {CHECKS} AS SELECT {columns} FROM {CHECK_RESULTS}"


def learned_view() -> str:
    """CREATE VIEW of the current version of each model that is learned."""
    return (
        f"CREATE OR REPLACE VIEW {LEARNED} AS SELECT model, version, as_of, published_at, metrics "
        f"FROM {MODEL_VERSIONS} WHERE is_current"
    )


def note_verdict(model: str, check: str, passed: bool, said: str) -> list[str]:
    """Statements that note a check's verdict in place of the one before. dbt notes those of its tests itself."""
    return [
        f"DELETE FROM {CHECK_RESULTS} WHERE model = {literal(model)} AND check_name = {literal(check)}",
        f"INSERT INTO {CHECK_RESULTS} (model, check_name, kind, passed, said, checked_at) SELECT {literal(model)}, "
        f"{literal(check)}, 'platform', {passed}, {literal(said)}, SYSDATE()",
    ]


def create_table(name: str, description: str, columns: Iterable[Column]) -> str:
    """The CREATE TABLE statement."""
    inside = ", ".join(map(column_definition, columns))
    return f"CREATE TABLE IF NOT EXISTS {name} ({inside}) COMMENT = {literal(description)}"


def column_definition(column: Column) -> str:
    """A column as CREATE TABLE and ADD COLUMN take it; personal columns get their masking policy."""
    masked = f" WITH MASKING POLICY {MASKING_POLICIES[column.sql_type]}" if column.personal else ""
    return f"{column.column} {SNOWFLAKE_TYPES[column.sql_type]}{masked} COMMENT {literal(column.description)}"


def literal(text: str) -> str:
    """The text as an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _existing_columns(cursor: "SnowflakeCursor") -> dict[str, set[str]]:
    cursor.execute("SELECT table_schema, table_name, column_name FROM information_schema.columns")
    found: dict[str, set[str]] = {}
    for schema, table, column in cursor.fetchall():
        found.setdefault(f"{schema}.{table}", set()).add(column)
    return found


def _start_watermarks(session: "SnowflakeConnection") -> None:
    cursor = session.cursor()
    cursor.execute(
        # MERGE takes the table's lock. Of two INSERTs at once each would insert its row: Snowflake enforces no key.
        f"MERGE INTO {LOAD_STATE} AS state USING (SELECT '{RAW_EVENTS}' AS name) AS wanted "
        "ON state.table_name = wanted.name WHEN NOT MATCHED THEN "
        "INSERT (table_name, last_version, updated_at) VALUES (wanted.name, -1, SYSDATE())"
    )
