"""Write: appends the rows to the Delta table, exactly once by the checkpoint and Delta's own transaction ids."""

from collections.abc import Iterable

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from music_platform.contracts import events as contract

#: Append-only, without deletion vectors or column mapping: the loader passes the files to COPY as they are.
TABLE_PROPERTIES = {
    "delta.appendOnly": "true",
    "delta.enableDeletionVectors": "false",
    "delta.columnMapping.mode": "none",
    "delta.checkpointInterval": "50",
    # Smallest and largest value in each file, for the age of a backlog and for readers who filter by time or offset. By
    # default Delta collects them for the first 32 columns, which takes a quarter of a micro-batch's time.
    "delta.dataSkippingStatsColumns": f"kafka_offset,{contract.AGE_COLUMN},event_time",
    # Delta would clean its log by age alone, loaded or not. `music-platform maintain` does it instead.
    "delta.enableExpiredLogCleanup": "false",
}

#: Delta's errors that say that there is no commit at a path.
NO_TABLE = {"DELTA_TABLE_NOT_FOUND", "DELTA_PATH_DOES_NOT_EXIST", "PATH_NOT_FOUND"}

#: Few files per micro-batch, since each one costs the loader a PUT.
FILES_PER_BATCH = 2


def table_at(path: str) -> str:
    """The Delta table at a path, as SQL names it. A path may have a backtick."""
    return f"delta.`{path.replace('`', '``')}`"


def create_table(session: SparkSession, path: str) -> None:
    """Create the lake's table of events at `path` if it does not exist, and add the columns that it lacks.

    The stream resumes at its checkpoint: a sink may gain columns, and older rows have NULL in them. Whether there is a
    table is asked by reading it. IF NOT EXISTS would take the folder of a log for one, and that is what is left where
    Spark died before the first commit.
    """
    try:
        existing = set(session.read.format("delta").load(path).columns)
    except AnalysisException as error:
        if error.getCondition() not in NO_TABLE:
            raise
        _create(session, path)
        return
    if missing := [column for column in contract.lake_columns() if column.column not in existing]:
        session.sql(f"ALTER TABLE {table_at(path)} ADD COLUMNS ({_definitions(missing)})")


def _create(session: SparkSession, path: str) -> None:
    """Create the table by an append of nothing: CREATE TABLE would refuse the folder of a log without a commit."""
    nothing = session.createDataFrame([], _definitions(contract.lake_columns()))
    nothing.write.format("delta").mode("append").options(**TABLE_PROPERTIES).save(path)


def lake_schema() -> str:
    """Names and types of the lake's columns, as mapInArrow expects them."""
    return ", ".join(f"`{c.column}` {c.sql_type.value}" for c in contract.lake_columns())


def _definitions(columns: Iterable[contract.Column]) -> str:
    return ", ".join(
        f"`{c.column}` {c.sql_type.value} COMMENT '{c.description.replace(chr(39), chr(92) + chr(39))}'"
        for c in columns
    )


def start_micro_batches(rows: DataFrame, path: str, checkpoint: str, query_name: str) -> StreamingQuery:
    """Start a query that appends everything in the topics now, in one or more micro-batches, and then stops."""
    return (
        rows.coalesce(FILES_PER_BATCH)
        .writeStream.format("delta")
        .outputMode("append")
        .queryName(query_name)
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
        .start(path)
    )
