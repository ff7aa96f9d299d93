"""What every ingestion command needs, and how it becomes the lake's single writer."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_platform.lake.lease import Lease, held_lease
from music_platform.lake.paths import lease_path
from music_platform.settings import Settings
from music_spark.orphans import stop_orphans

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from snowflake.connector import SnowflakeConnection


@dataclass(frozen=True)
class IngestionContext:
    """Settings, sessions and a log. Sessions are opened on demand."""

    settings: Settings
    spark: "Callable[[], SparkSession]"
    warehouse: "Callable[[], AbstractContextManager[SnowflakeConnection]]"
    log: Callable[[str], None]
    #: When the warehouse was last loaded, in epoch seconds; None if unknown.
    last_load: float | None = None


@contextmanager
def writing(context: IngestionContext) -> Iterator[Lease]:
    """Hold the lease of the lake's single writer. First stop whatever a dead writer left running."""
    settings = context.settings
    with held_lease(lease_path(settings.lake_root), settings.lease_wait_seconds, context.log) as lease:
        for claim in lease.dead:
            context.log(f"{claim.holder} died while it was writing the lake; resuming after it")
            if claim.spark_session and settings.spark_url:
                stop_orphans(settings.spark_url, settings.spark_token, claim.spark_session, context.log)
        lease.remove_dead_claims()
        yield lease
