"""The local Spark Connect server: Spark's own, started through pyspark's spark-submit and bound to loopback."""

import os
import shutil
import sys

from music_platform.home import Home
from music_platform.settings import LOOPBACK, Settings
from music_platform.stack.jars import jar_paths, pyspark_home, spark_sets
from music_platform.stack.java import LOG4J_CONFIG, Java
from music_spark.session import spark_conf, store_conf

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


def server_conf(settings: Settings) -> dict[str, str]:
    """The platform's Spark settings, with those of this server."""
    home = Home(settings.home)
    return {
        **spark_conf(),
        **store_conf(os.environ),
        "spark.master": "local[2]",
        "spark.app.name": "music-platform",
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.extraJavaOptions": (
            f'"-Dlog4j2.configurationFile={LOG4J_CONFIG}" -XX:+ExitOnOutOfMemoryError {settings.jvm_options}'
        ),
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(settings.spark_port),
        # The driver's ports unpack Java objects. Connect's own, which runs its clients' code, requires the
        # token in SPARK_CONNECT_AUTHENTICATE_TOKEN, which is in no file.
        "spark.authenticate": "true",
        "spark.jars": ",".join(str(path) for path in jar_paths(settings, *spark_sets(settings))),
        "spark.local.dir": str(home.spark / "scratch"),
        "spark.sql.warehouse.dir": str(home.spark / "tables"),
        # No Hive metastore: the platform's tables are paths.
        "spark.sql.catalogImplementation": "in-memory",
    }


def render_conf(conf: dict[str, str]) -> str:
    """The settings as a properties file for spark-submit."""
    return "".join(f"{name} {value}\n" for name, value in sorted(conf.items()))


def command(settings: Settings) -> list[str]:
    """The server's command line. `spark-internal` tells spark-submit that the class is Spark's own."""
    submit = pyspark_home() / "bin" / "spark-submit"
    conf = Home(settings.home).spark / "spark.conf"
    return [str(submit), "--class", SERVER_CLASS, "--properties-file", str(conf), "spark-internal"]


def environment(java: Java) -> dict[str, str]:
    """Variables for spark-submit and Spark's Python workers."""
    return {"SPARK_HOME": str(pyspark_home()), "JAVA_HOME": str(java.home), "PYSPARK_PYTHON": sys.executable}


def prepare(settings: Settings) -> None:
    """Render the configuration and delete the scratch files of a killed server."""
    home = Home(settings.home)
    shutil.rmtree(home.spark / "scratch", ignore_errors=True)
    (home.spark / "scratch").mkdir(parents=True)
    (home.spark / "spark.conf").write_text(render_conf(server_conf(settings)))
