"""The Spark settings that the platform needs wherever it runs.

The local Connect server, a classic session and `spark-submit` on a cluster all start from `spark_conf()`. What belongs
to one place only (master, memory, jars, ports) is added where that place is set up.
"""

from collections.abc import Mapping


def spark_conf() -> dict[str, str]:
    """Spark's settings by name."""
    return {
        # --- Delta -------------------------------------------------------------------------------------------------
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # Parts in which a table's log is read; the default of 50 costs a small table more than its data does.
        "spark.databricks.delta.snapshotPartitions": "2",
        # --- What a result looks like ------------------------------------------------------------------------------
        "spark.sql.session.timeZone": "UTC",
        # Of duplicate keys in a JSON object the last one counts, as RFC 8259 parsers commonly do.
        "spark.sql.variant.allowDuplicateKeys": "true",
        # The warehouse's COPY reads microseconds; the legacy INT96 has no time zone semantics.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.parquet.compression.codec": "zstd",
        # --- Small batches -----------------------------------------------------------------------------------------
        # The default of 200 halves the speed of a batch and writes 200 files.
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        # --- A server that runs for months -------------------------------------------------------------------------
        # The UI's records of past jobs are kept in memory even where no UI is shown.
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.streaming.ui.enabled": "false",
        "spark.ui.retainedJobs": "50",
        "spark.ui.retainedStages": "50",
        "spark.ui.retainedTasks": "1000",
        "spark.sql.ui.retainedExecutions": "50",
        "spark.sql.connect.ui.retainedSessions": "20",
        "spark.sql.connect.ui.retainedStatements": "20",
        # Each query has a consumer group of its own, so that its consumers, and the records that they have fetched, are
        # of no use to the next; Spark would keep them for five minutes.
        "spark.kafka.consumer.cache.timeout": "60s",
        "spark.kafka.consumer.cache.evictorThreadRunInterval": "30s",
        "spark.kafka.consumer.fetchedData.cache.timeout": "60s",
        "spark.kafka.consumer.fetchedData.cache.evictorThreadRunInterval": "30s",
    }


#: Sizes of Google's client in bytes, as Hadoop's defaults give them for its own.
GCS_SIZES = {
    "block.size": 64 << 20,
    "rewrite.max.chunk.size": 512 << 20,
    "outputstream.buffer.size": 8 << 20,
    "inputstream.inplace.seek.limit": 8 << 20,
    "inputstream.min.range.request.size": 2 << 20,
}


def store_conf(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of the object stores' clients in Spark, from the usual variables of each cloud.

    Credentials are not among them: the clients read those variables themselves. AWS_ENDPOINT_URL names another S3
    server than Amazon's, STORAGE_EMULATOR_HOST another than Google's, which then asks for no credentials.
    """
    s3, gcs = "spark.hadoop.fs.s3a", "spark.hadoop.fs.gs"
    conf = {f"{gcs}.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem"}
    conf["spark.hadoop.fs.AbstractFileSystem.gs.impl"] = "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS"
    # Hadoop's defaults are for its own client: sizes such as 64m, which Google's does not read, and the credentials of
    # the machine alone.
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
            # Google renames in one request; such servers know copying and deleting only.
            f"{gcs}.operation.move.enable": "false",
        }
    return conf
