"""The local Spark Connect server: Spark's own, started through pyspark's spark-submit and bound to loopback.

It runs its tasks itself or, with SPARK_MASTER=standalone, on the local cluster.
"""

import os
import shutil
import sys
from pathlib import Path

from music_platform.home import Home
from music_platform.settings import LOOPBACK, Settings, load_settings
from music_platform.stack import spark_cluster
from music_platform.stack.jars import jar_paths, pyspark_home, repository, spark_sets
from music_platform.stack.java import LOG4J_CONFIG, Java
from music_spark.session import CREDENTIALS, executor_stores, spark_conf, store_conf

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


def server_conf(settings: Settings) -> dict[str, str]:
    """The platform's Spark settings, with those of this server."""
    home = Home(settings.home)
    jars = ",".join(str(path) for path in jar_paths(settings, *spark_sets(settings)))
    here = {"spark.master": f"local[{settings.spark_cores}]", "spark.authenticate": "true", "spark.jars": jars}
    return {
        **spark_conf(),
        **store_conf(os.environ),
        "spark.app.name": "music-platform",
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.extraJavaOptions": (
            f'"-Dlog4j2.configurationFile={LOG4J_CONFIG}" -XX:+ExitOnOutOfMemoryError {settings.jvm_options}'
        ),
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(settings.spark_port),
        # Connect runs its clients' code, so it requires the token in SPARK_CONNECT_AUTHENTICATE_TOKEN: in no file.
        "spark.local.dir": str(home.spark / "scratch"),
        "spark.sql.warehouse.dir": str(home.spark / "tables"),
        # No Hive metastore: the platform's tables are paths.
        "spark.sql.catalogImplementation": "in-memory",
        **(spark_cluster.application_conf(settings) if settings.spark_is_standalone else here),
        **(executor_stores(os.environ, CREDENTIALS) if settings.spark_is_standalone else {}),
    }


def pod_conf(jars: Path) -> dict[str, str]:
    """The settings of a Connect server in a Kubernetes pod, whose executors are pods of the same image.

    `jars` is the folder of Spark's jars in the image. What a chart's user sets is added by bin/spark-connect.
    """
    return {
        **spark_conf(),
        **store_conf(os.environ),
        **executor_stores(os.environ),
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": "15002",
        "spark.driver.bindAddress": "0.0.0.0",
        # Fixed, for the network policy.
        "spark.driver.port": "7078",
        "spark.driver.blockManager.port": "7079",
        "spark.blockManager.port": "7080",
        "spark.authenticate": "true",
        "spark.driver.extraClassPath": f"{jars}/*",
        "spark.driver.extraJavaOptions": f'"-Dlog4j2.configurationFile={LOG4J_CONFIG}" -XX:+ExitOnOutOfMemoryError',
        "spark.executor.extraJavaOptions": f'"-Dlog4j2.configurationFile={LOG4J_CONFIG}" -XX:+ExitOnOutOfMemoryError',
        "spark.local.dir": "/tmp/spark",
        "spark.sql.warehouse.dir": "/tmp/spark-tables",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.task.maxFailures": "10",
    }


def render_conf(conf: dict[str, str]) -> str:
    """The settings as a properties file for spark-submit."""
    return "".join(f"{name} {value}\n" for name, value in sorted(conf.items()))


def command(settings: Settings) -> list[str]:
    """The server's command line. `spark-internal` tells spark-submit that the class is Spark's own."""
    submit = pyspark_home() / "bin" / "spark-submit"
    conf = Home(settings.home).spark / "spark.conf"
    return [str(submit), "--class", SERVER_CLASS, "--properties-file", str(conf), "spark-internal"]


def environment(settings: Settings, java: Java) -> dict[str, str]:
    """Variables for spark-submit and Spark's Python workers."""
    found = {"SPARK_HOME": str(pyspark_home()), "JAVA_HOME": str(java.home), "PYSPARK_PYTHON": sys.executable}
    if settings.spark_is_standalone:
        # The driver commits what the executors write, in the same Python as theirs.
        packages = dict.fromkeys(str(folder.parent) for folder in spark_cluster.package_folders())
        found |= {
            "PYSPARK_PYTHON": spark_cluster.python(),
            "PYTHONPATH": os.pathsep.join([*packages, *spark_cluster.installed()]),
        }
    return found


def prepare(settings: Settings) -> None:
    """Render the configuration and delete the scratch files of a killed server."""
    home = Home(settings.home)
    if settings.spark_is_standalone:
        spark_cluster.write_archive(settings)
    shutil.rmtree(home.spark / "scratch", ignore_errors=True)
    (home.spark / "scratch").mkdir(parents=True)
    (home.spark / "spark.conf").write_text(render_conf(server_conf(settings)))


if __name__ == "__main__":
    print(render_conf(pod_conf(repository(load_settings()) / "spark")), end="")
