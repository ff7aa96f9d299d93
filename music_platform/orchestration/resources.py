"""Resources that assets get from Dagster. Does not belong here: what is done with a session or client."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
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
from music_platform.warehouse.connection import LOCAL_ACCOUNT, connect, query_tag, unreachable
from music_platform.warehouse.schema import literal
from music_spark.session import SparkUnreachableError, away, open_session, spark_conf, store_conf

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from snowflake.connector import SnowflakeConnection

#: Default port of a Spark Connect address.
SPARK_CONNECT_PORT = 15002
#: Seconds within which the Spark server must accept a connection.
SPARK_TIMEOUT = 5.0


def build_resources(settings: Settings) -> dict[str, Any]:
    """Resources by the name that assets use."""
    return {
        "settings": settings,
        "spark": spark_resource(settings),
        "snowflake": warehouse_resource(settings),
        "dbt": dbt_resource(),
    }


class SparkResource(LazyPySparkResource):
    """Spark as Dagster shows it. Its token comes from the settings when a session opens."""

    settings: dg.ResourceDependency[Settings]

    def _init_session(self) -> None:
        if self._spark_session is None and self.settings.spark_url is not None:
            session: Any = open_session(self.settings.spark_url, self.settings.spark_token)
            self._spark_session = session
        super()._init_session()


class WarehouseResource(SnowflakeResource):
    """Snowflake as Dagster shows it. Secrets come from the settings when a session opens.

    The fields of a resource appear in the UI, and in the snapshot that Dagster stores with each run.
    """

    settings: dg.ResourceDependency[Settings]

    @contextmanager
    def get_connection(self, raw_conn: bool = True) -> Iterator[Any]:  # noqa: ARG002
        """A session without a query tag. Raises WarehouseUnreachableError."""
        with connect(self.settings) as session:
            yield session


def spark_resource(settings: Settings) -> SparkResource:
    """A Spark Connect session, or a classic session in the run's process."""
    conf = spark_conf() | store_conf(os.environ) if settings.spark_url is None else {"spark.remote": settings.spark_url}
    return SparkResource(spark_config=conf, settings=settings)


def warehouse_resource(settings: Settings) -> WarehouseResource:
    """Sessions at the warehouse of the settings."""
    return WarehouseResource(
        account=settings.snowflake_account or LOCAL_ACCOUNT,
        user=settings.snowflake_user,
        role=settings.snowflake_role,
        warehouse=settings.snowflake_warehouse,
        database=settings.snowflake_database,
        # SnowflakeResource refuses a configuration without a visible login method.
        authenticator="SNOWFLAKE_JWT" if settings.snowflake_private_key_path else "snowflake",
        settings=settings,
    )


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables for dbt's profile, for dagster-dbt and for Snowflake's client in dbt.

    All other secrets are set empty: dbt would inherit them from this process.
    """
    given = settings_environment(settings, secrets=True)
    public = settings_environment(settings, secrets=False)
    local = {"WAREHOUSE_PORT", "MUSIC_SECRET"} if settings.warehouse_is_local else set()
    read = {name: value for name, value in given.items() if name.startswith("SNOWFLAKE_") or name in local}
    hidden = dict.fromkeys(given.keys() - public.keys() - read.keys(), "")
    # The process's own home: there the manifest is, from which an invocation starts.
    return hidden | read | dbt_places(get_settings()) | {"SNOWFLAKE_DISABLE_PLATFORM_DETECTION": "true"}


def dbt_resource() -> DbtCliResource:
    """dbt. `dbt_variables` connects it to the same warehouse."""
    return DbtCliResource(project_dir=dbt_project(), dbt_executable=dbt_executable())


@contextmanager
def dbt_variables(settings: Settings, **more: str) -> Iterator[None]:
    """Put the settings into the environment, where dbt's profile reads them, until the block ends."""
    with variables_set(dbt_environment(settings) | more):
        yield


@contextmanager
def sentences() -> Iterator[None]:
    """An error that a person can fix fails the step with its message, without a traceback."""
    try:
        yield
    except PlatformError as error:
        raise dg.Failure(str(error)) from None


@contextmanager
def spark_session(spark: LazyPySparkResource, settings: Settings) -> Iterator["SparkSession"]:
    """The resource's session, stopped at the end: an open one delays the process's exit if its server is gone.

    Raises SparkUnreachableError at once if nothing listens, where the client would retry for minutes.
    """
    if settings.spark_url is not None:
        address = urlsplit(settings.spark_url)
        try:
            with socket.create_connection((address.hostname, address.port or SPARK_CONNECT_PORT), SPARK_TIMEOUT):
                pass
        except OSError as error:
            raise SparkUnreachableError(away(settings.spark_url)) from error
    session: SparkSession = spark.spark_session
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def warehouse_session(
    snowflake: SnowflakeResource, settings: Settings, run: dg.DagsterRun, asset: dg.AssetKey, role: str | None = None
) -> Iterator["SnowflakeConnection"]:
    """A session whose statements have the run's id and the asset in their query tag.

    `role` unset: the resource's. Raises WarehouseUnreachableError.
    """
    from snowflake.connector.errors import Error

    with snowflake.get_connection() as session:
        try:
            tag = literal(query_tag(run.run_id, asset.to_user_string()))
            session.cursor().execute(f"ALTER SESSION SET QUERY_TAG = {tag}")
            if role is not None:
                session.cursor().execute(f"USE ROLE {role}")
        except Error as error:
            raise unreachable(settings, error) from error
        yield session
