"""The Spark settings that the platform needs wherever it runs.

The local Connect server, a classic session and a cluster's Connect server all start from `spark_conf()`. Settings of
one place only (master, memory, jars, ports) are added where that place is set up.
"""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from music_platform.errors import PlatformError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.session import SparkSession as ConnectSession


class SparkUnreachableError(PlatformError):
    """No Spark session could be opened."""


def away(url: str | None) -> str:
    """Error message for a Connect server that does not answer."""
    return f"Spark Connect at {url} does not answer. Start it with `music-platform up`, or correct SPARK_REMOTE."


def open_session(url: str, token: str | None, session_id: str | None = None) -> "SparkSession":
    """The session of this process at a Connect server, or, with `session_id`, a session that another one began.

    The token goes neither into the address nor into the environment, from which it would reach logs and children.
    """
    from pyspark.sql.connect.client import DefaultChannelBuilder
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    # As pyspark's own builder does it: pyspark.sql.functions ask by this variable which kind of session there is.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    channel = DefaultChannelBuilder(url)
    if token is not None:
        channel.set("token", token)
    if session_id is not None:
        channel.set("session_id", session_id)
    builder = ConnectSession.builder.channelBuilder(channel)
    if session_id is not None:
        return cast("SparkSession", builder.create())
    active = ConnectSession.getActiveSession()
    if active is not None and _is_closed_by_server(active):
        active.stop()
    return cast("SparkSession", builder.getOrCreate())


def _is_closed_by_server(session: "ConnectSession") -> bool:
    """Whether the server has ended the session, as it does after an hour in which nothing was asked of it."""
    from pyspark.errors import PySparkException

    try:
        return not session.conf.get("spark.sql.session.timeZone")
    except PySparkException as error:
        return "INVALID_HANDLE" in str(error)


#: Settings that the job needs wherever Spark runs; the others of `spark_conf()` make it fast.
REQUIRED_CONF = ("spark.sql.session.timeZone",)


def spark_conf() -> dict[str, str]:
    """Spark's settings by name."""
    return {
        "spark.sql.session.timeZone": "UTC",
        # --- A server that runs for months -------------------------------------------------------------------------
        # The UI's records of past jobs are kept in memory even without a UI.
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.streaming.ui.enabled": "false",
        "spark.ui.retainedJobs": "50",
        "spark.ui.retainedStages": "50",
        "spark.ui.retainedTasks": "1000",
        "spark.sql.ui.retainedExecutions": "50",
        "spark.sql.connect.ui.retainedSessions": "20",
        "spark.sql.connect.ui.retainedStatements": "20",
        # Each query has its own consumer group, so the next query cannot use its consumers or the records that they
        # fetched. By default Spark keeps them for five minutes.
        "spark.kafka.consumer.cache.timeout": "60s",
        "spark.kafka.consumer.cache.evictorThreadRunInterval": "30s",
        "spark.kafka.consumer.fetchedData.cache.timeout": "60s",
        "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval": "30s",
    }


#: Sizes for Google's client in bytes, equal to Hadoop's defaults for its own client.
GCS_SIZES = {
    "block.size": 64 << 20,
    "rewrite.max.chunk.size": 512 << 20,
    "outputstream.buffer.size": 8 << 20,
    "inputstream.inplace.seek.limit": 8 << 20,
    "inputstream.min.range.request.size": 2 << 20,
}


def store_conf(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of the object stores' clients in Spark, from the usual variables of each cloud.

    Credentials are not among them: the clients read those variables themselves. AWS_ENDPOINT_URL names an S3 server
    other than Amazon's, STORAGE_EMULATOR_HOST a server other than Google's. The latter is used without credentials.
    """
    s3, gcs = "spark.hadoop.fs.s3a", "spark.hadoop.fs.gs"
    conf = {f"{gcs}.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem"}
    conf["spark.hadoop.fs.AbstractFileSystem.gs.impl"] = "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS"
    # Hadoop's defaults are for its own client: sizes such as 64m, which Google's client cannot read, and only the
    # credentials of the machine.
    conf[f"{gcs}.auth.type"] = "APPLICATION_DEFAULT"
    conf |= {f"{gcs}.{name}": str(size) for name, size in GCS_SIZES.items()}
    if region := environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION"):
        conf[f"{s3}.endpoint.region"] = region
    if server := environment.get("AWS_ENDPOINT_URL"):
        conf |= {
            f"{s3}.endpoint": server,
            f"{s3}.path.style.access": "true",
            f"{s3}.connection.ssl.enabled": str(server.startswith("https")).lower(),
        }
    if server := environment.get("STORAGE_EMULATOR_HOST"):
        conf |= {
            f"{gcs}.storage.root.url": f"{server.rstrip('/')}/",
            f"{gcs}.auth.type": "UNAUTHENTICATED",
            # Google renames in one request. Emulators only support copy and delete.
            f"{gcs}.operation.move.enable": "false",
        }
    return conf


#: Variables with which the object stores' clients log in.
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS")


#: Variables that say where the object stores are.
PLACES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "STORAGE_EMULATOR_HOST")


def executor_stores(environment: Mapping[str, str], more: Iterable[str] = ()) -> dict[str, str]:
    """Settings that give the executors of a cluster, whose Python writes the lake's files, these variables: the places
    of the object stores and `more`."""
    return {f"spark.executorEnv.{name}": environment[name] for name in (*PLACES, *more) if environment.get(name)}
