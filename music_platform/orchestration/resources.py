"""Resources: what assets reach through Dagster. Sessions and clients live here; what is done with them does not."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import dagster as dg
from dagster_dbt import DbtCliResource
from dagster_pyspark import LazyPySparkResource
from dagster_snowflake import SnowflakeResource

from music_platform.environment import dbt_places, settings_environment, variables_set
from music_platform.errors import PlatformError
from music_platform.orchestration.dbt_project import dbt_executable, dbt_project
from music_platform.settings import Settings, get_settings
from music_platform.warehouse.connection import KEY_ERRORS, connection_arguments, query_tag, unreachable
from music_platform.warehouse.schema import literal
from music_spark.session import spark_conf, store_conf

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from snowflake.connector import SnowflakeConnection

#: Port of a Spark Connect address that names none.
SPARK_CONNECT_PORT = 15002
#: Seconds within which the Spark server has to take a connection.
SPARK_TIMEOUT = 5.0

#: Arguments of a connection that SnowflakeResource has no field of its own for.
_SNOWFLAKE_FIELDS = {
    "account", "authenticator", "database", "login_timeout", "paramstyle", "password", "role", "user", "warehouse",
}  # fmt: skip


class SparkUnreachableError(PlatformError):
    """No Spark session could be opened."""


def build_resources(settings: Settings) -> dict[str, Any]:
    """Resources by the name under which assets ask for them."""
    return {
        "settings": settings,
        "spark": spark_resource(settings),
        "snowflake": snowflake_resource(settings),
        "dbt": dbt_resource(),
    }


def spark_resource(settings: Settings) -> LazyPySparkResource:
    """A Spark Connect session, or a classic one in the run's own process."""
    if settings.spark_url is None:
        return LazyPySparkResource(spark_config=spark_conf() | store_conf(os.environ))
    return LazyPySparkResource(spark_config={"spark.remote": settings.spark_url})


def snowflake_resource(settings: Settings) -> SnowflakeResource:
    """Sessions at the warehouse of the settings."""
    arguments = connection_arguments(settings)
    own = {name: value for name, value in arguments.items() if name in _SNOWFLAKE_FIELDS}
    rest = {name: value for name, value in arguments.items() if name not in _SNOWFLAKE_FIELDS}
    return SnowflakeResource(**own, additional_snowflake_connection_args=rest)


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables that dbt's profile, dagster-dbt and Snowflake's client inside dbt read."""
    return {
        **settings_environment(settings, secrets=True),
        # The process's own home: there the manifest is, from which an invocation starts.
        **dbt_places(get_settings()),
        "SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true",
    }


def dbt_resource() -> DbtCliResource:
    """dbt, which `dbt_variables` connects to the same warehouse."""
    return DbtCliResource(project_dir=dbt_project(), dbt_executable=dbt_executable())


@contextmanager
def dbt_variables(settings: Settings, **more: str) -> Iterator[None]:
    """dbt's profile reads the settings from the environment: they are in it for as long as dbt is at work."""
    with variables_set(dbt_environment(settings) | more):
        yield


@contextmanager
def sentences() -> Iterator[None]:
    """What a person can mend fails the step in a sentence, without a traceback."""
    try:
        yield
    except PlatformError as error:
        raise dg.Failure(str(error)) from None


@contextmanager
def spark_session(spark: LazyPySparkResource, settings: Settings) -> Iterator["SparkSession"]:
    """The resource's session, stopped at the end: one left open holds up the process's exit when its server is gone.

    Raises SparkUnreachableError at once where nothing listens: the client would try again for minutes.
    """
    if settings.spark_url is not None:
        address = urlsplit(settings.spark_url)
        try:
            with socket.create_connection((address.hostname, address.port or SPARK_CONNECT_PORT), SPARK_TIMEOUT):
                pass
        except OSError as error:
            raise SparkUnreachableError(
                f"No Spark Connect server answers at {settings.spark_url}: {error}. "
                "Is it up (music-platform status), and is SPARK_REMOTE right?"
            ) from error
    session: SparkSession = spark.spark_session
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def warehouse_session(
    snowflake: SnowflakeResource, settings: Settings, run: dg.DagsterRun, asset: dg.AssetKey, role: str | None = None
) -> Iterator["SnowflakeConnection"]:
    """A session whose statements carry the run's id and the asset as their query tag.

    `role` unset: the resource's. Raises WarehouseUnreachableError.
    """
    from snowflake.connector.errors import Error

    with ExitStack() as opened:
        try:
            session = opened.enter_context(snowflake.get_connection())
            tag = literal(query_tag(run.run_id, asset.to_user_string()))
            session.cursor().execute(f"ALTER SESSION SET QUERY_TAG = {tag}")
            if role is not None:
                session.cursor().execute(f"USE ROLE {role}")
        except (Error, *KEY_ERRORS) as error:
            raise unreachable(settings, error) from error
        yield session
