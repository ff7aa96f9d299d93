"""Every setting of the platform: its environment variable, default and meaning.

Read from the environment, then from the project's `.env`, then from `ports.env` in the home (written by
`music-platform up`); `sources.py` finds them. Nothing else in the project reads `os.environ` for a setting.
"""

import importlib
import json
import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from music_platform.contracts import shapes
from music_platform.contracts.events import TOPICS
from music_platform.sources import DEFAULT_HOME, SettingsError, Sources, Value, find_project, find_sources

LOOPBACK = "127.0.0.1"
#: User of the local broker, whose password is MUSIC_SECRET.
KAFKA_USER = "music"
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
#: Prefix in KAFKA_JVM_PROPERTIES of an option of Spark's Kafka source, which is no property of the Java client.
OPTION = "option:"
#: The settings that are ports, in the order in which `up` chooses them.
PORT_FIELDS = (
    "kafka_port",
    "kafka_controller_port",
    "spark_port",
    "warehouse_port",
    "dagster_port",
    "dashboard_port",
    "kafka_2_port",
    "kafka_2_controller_port",
    "kafka_3_port",
    "kafka_3_controller_port",
    "spark_master_port",
    "spark_master_ui_port",
    "spark_worker_1_port",
    "spark_worker_2_port",
)
#: Client port and controller port of each local broker, by its node id.
BROKER_PORTS = {
    1: ("kafka_port", "kafka_controller_port"),
    2: ("kafka_2_port", "kafka_2_controller_port"),
    3: ("kafka_3_port", "kafka_3_controller_port"),
}
#: Seconds between two loads where the warehouse is billed: Snowflake bills at least one minute.
ACCOUNT_LOAD_INTERVAL = 60.0


class Places(BaseSettings):
    """Folders and programs."""

    music_home: Path = Field(
        default=Path(DEFAULT_HOME),
        description="Folder for all local state. Unset: .local in the project. Two homes can run side by side, each on "
        "its own ports.",
    )
    music_env_file: Path | None = Field(
        default=None,
        description="File of settings to read in place of the project's .env. Set to nothing: read none.",
    )
    music_local_only: bool = Field(
        default=False,
        description="Refuse every broker, Spark, lake, intake, warehouse and database that is not on this machine. Set "
        "for `demo`, `make dbt-build` and the tests, and for all that they start.",
    )
    music_secret: str | None = Field(
        default=None,
        description="Secret that the services of this home require from clients. `up` creates it in <home>/secret.env, "
        "which only this user can read.",
        repr=False,
    )
    jars_dir: Path | None = Field(
        default=None,
        description="Folder of the JVM jars, in Maven's layout. Unset: the user's Maven repository, ~/.m2/repository.",
    )
    java_home: Path | None = Field(
        default=None, description="Home of Java 17 or newer, for the broker and Spark. Unset: `java` on the PATH."
    )
    jvm_options: str = Field(
        default="",
        description="Extra options for the JVMs of the local broker and Spark. -XX:TieredStopAtLevel=1 halves the "
        "cost of a start and of the first batches, but makes large batches slower in the long run.",
    )
    lake_url: str | None = Field(
        default=None,
        description="Folder of the Delta lake: a path, s3a://bucket/path or gs://bucket/path. Unset: <home>/lake.",
    )
    intake_url: str | None = Field(
        default=None,
        description="Folder where producers drop files: a path, s3a://… or gs://…, with one subfolder per topic and "
        "shape. Unset: <home>/intake.",
    )
    intake_max_file_bytes: int = Field(
        default=64 << 20,
        ge=1,
        description="Largest intake file, in bytes of uncompressed text. Bounds Spark's memory.",
    )
    intake_max_file_lines: int = Field(
        default=1_000_000,
        ge=1,
        description="Largest intake file, in lines. Every line becomes a row, even an empty one.",
    )
    intake_retention_days: float = Field(
        default=30,
        gt=0,
        description="Days for which files that were taken in or refused are kept, and their names remembered. After "
        "that a name may be used again.",
    )
    reference_dir: Path | None = Field(
        default=None,
        description="Folder with songs.csv, artists.csv and users.csv. Unset: <home>/reference, filled by `simulate`.",
    )


class Kafka(BaseSettings):
    """Kafka."""

    kafka_bootstrap_servers: str | None = Field(
        default=None,
        description="host:port[,host:port] of a Kafka cluster. Unset: the local broker on 127.0.0.1:<KAFKA_PORT>.",
    )
    kafka_security_protocol: str | None = Field(
        default=None,
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Used by every Kafka client. Unset: PLAINTEXT, or for "
        "the local broker SASL_PLAINTEXT with PLAIN, the user `music` and MUSIC_SECRET as the password.",
    )
    kafka_sasl_mechanism: str | None = Field(
        default=None,
        description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 "
        "or OAUTHBEARER. Any other one: KAFKA_CLIENT_PROPERTIES and KAFKA_JVM_PROPERTIES.",
    )
    kafka_sasl_username: str | None = Field(default=None, description="SASL user name.")
    kafka_sasl_password: str | None = Field(default=None, description="SASL password.", repr=False)
    kafka_ssl_ca_location: Path | None = Field(
        default=None,
        description="PEM file of the CA that signed the brokers' certificates. Unset: the system's CAs, or the local "
        "broker's own.",
    )
    kafka_ssl_certificate_location: Path | None = Field(
        default=None,
        description="Mutual TLS: PEM file of the client's certificate. Unset: none, or for the local broker with "
        "KAFKA_SECURITY_PROTOCOL=SSL one that it trusts.",
    )
    kafka_ssl_key_location: Path | None = Field(
        default=None, description="Mutual TLS: PEM file of the client's private key (PKCS #8)."
    )
    kafka_ssl_key_password: str | None = Field(
        default=None, description="Passphrase of the client's private key.", repr=False
    )
    kafka_client_properties: str | None = Field(
        default=None,
        description="Further properties of the Python clients under librdkafka's names, as a JSON object of texts. "
        "They win over those that follow from other settings.",
        repr=False,
    )
    kafka_jvm_properties: str | None = Field(
        default=None,
        description="Further properties of Spark's Kafka source under the Java client's names, as a JSON object of "
        "texts. They win over those that follow from other settings. The source's own options begin with `option:`, "
        "such as `option:groupIdPrefix`.",
        repr=False,
    )
    kafka_token_function: str | None = Field(
        default=None,
        description="OAUTHBEARER: a Python function, as module:name, that returns a token and when it expires (epoch "
        "seconds). librdkafka calls it with `sasl.oauthbearer.config` whenever it needs a token.",
    )
    topic_prefix: str = Field(
        default="", description="Prefix of every topic name. Lets several platforms share one cluster."
    )
    shape_topics: str = Field(
        default="",
        description="Additional topics that carry other producers' shapes: topic=shape[,topic=shape]. The shapes are "
        "those in contracts/shapes. TOPIC_PREFIX applies to these topics too.",
    )
    topic_partitions: int = Field(default=4, ge=1, description="Partitions of each topic that `up` creates.")
    topic_replication: int | None = Field(
        default=None,
        ge=1,
        description="Replicas of each topic that `up` creates. Unset: one per local broker; 1 on a cluster elsewhere.",
    )
    kafka_brokers: int = Field(
        default=1,
        ge=1,
        le=3,
        description="Local brokers: 1, or 3 for a cluster that survives the loss of one broker (three replicas of each "
        "partition, at least two in sync, no unclean election). A home keeps the number that it started with.",
    )
    kafka_retention_hours: int = Field(
        default=7 * 24, ge=1, description="Local broker: hours for which records are kept."
    )
    kafka_retention_bytes: int = Field(
        default=8 << 30,
        ge=64 << 20,
        description="Local brokers: bytes that all topics keep together, in equal shares for each replica of a "
        "partition. The oldest records go first.",
    )


class Spark(BaseSettings):
    """Spark."""

    spark_remote: str | None = Field(
        default=None,
        description="Spark Connect address, sc://host:port. Unset: the local Connect server. 'local': no Connect, but "
        "a classic session inside the run's own process.",
    )
    spark_connect_token: str | None = Field(
        default=None,
        description="Bearer token of the Spark Connect server at SPARK_REMOTE. A token in that address is moved here.",
        repr=False,
    )
    spark_driver_memory: str = Field(default="2g", description="Heap of the local Spark Connect server.")
    spark_master: Literal["local", "standalone"] = Field(
        default="local",
        description="Where the local Connect server runs its tasks: 'local', threads of its own process, or "
        "'standalone', a master and two workers.",
    )
    spark_cores: int = Field(
        default=2,
        ge=1,
        description="Cores that Spark works with: threads of the local Connect server, cores of both workers of the "
        "standalone cluster together (at least one each), or those of the cluster at SPARK_REMOTE. A micro-batch has "
        "at most as many tasks, and each one writes a file.",
    )
    spark_executor_memory: str = Field(
        default="1g", description="Heap of each executor of the local standalone cluster."
    )
    max_records_per_batch: int = Field(
        default=1_000_000, ge=1, description="Maximum records per micro-batch. Bounds its memory."
    )
    max_drain_seconds: float = Field(
        default=600, gt=0, description="Seconds after which an ingest run starts no further micro-batch."
    )

    lease_wait_seconds: float = Field(
        default=900, ge=0, description="Seconds a run waits while another run is writing the lake."
    )
    lake_retention_hours: int = Field(
        default=7 * 24, ge=1, description="Hours for which data files replaced by compaction are kept."
    )
    log_retention_hours: int = Field(
        default=48, ge=1, description="Hours for which versions of the lake's log are kept after they are loaded."
    )


class Snowflake(BaseSettings):
    """Snowflake."""

    warehouse_memory: str | None = Field(
        default=None,
        description="Memory of the local warehouse's engine, such as 4GB; what needs more goes to the disk. Unset: a "
        "quarter of this machine's.",
    )
    snowflake_account: str | None = Field(
        default=None, description="Account identifier. Unset: the local warehouse on 127.0.0.1:<WAREHOUSE_PORT>."
    )
    snowflake_user: str = Field(default="music", description="User name.")
    snowflake_password: str | None = Field(
        default=None, description="Password. A key pair is the better choice.", repr=False
    )
    snowflake_private_key_path: Path | None = Field(default=None, description="PEM file of the user's private key.")
    snowflake_private_key_passphrase: str | None = Field(
        default=None, description="Passphrase of the user's private key.", repr=False
    )
    snowflake_role: str | None = Field(
        default=None, description="Role that loads RAW and writes OPS. The default role of every session."
    )
    snowflake_transform_role: str | None = Field(
        default=None, description="Role of dbt, which builds STAGING, SILVER and GOLD. Unset: SNOWFLAKE_ROLE."
    )
    snowflake_read_role: str | None = Field(
        default=None,
        description="Role of `music-platform sql` and of dashboards, which see personal columns masked. Unset: "
        "<SNOWFLAKE_DATABASE>_READER, the role that `snowflake-setup` creates.",
    )
    snowflake_warehouse: str | None = Field(default=None, description="Virtual warehouse of every session.")
    snowflake_database: str = Field(default="MUSIC", description="Database with the schemas RAW … GOLD, OPS.")
    snowflake_external_stage: bool | None = Field(
        default=None,
        description="Whether Snowflake reads the lake's files in place, through the external stage RAW.LAKE_FILES. If "
        "not, files are PUT into an internal stage first. Unset: yes for an account with the lake on s3a:// or "
        "gs://, no otherwise.",
    )
    load_min_interval: float | None = Field(
        default=None,
        ge=0,
        description="Minimum seconds between two loads into the warehouse. Anything that arrives meanwhile is included "
        "in the next load. Unset: 0 for the local warehouse, 60 for an account, which bills every minute it is awake.",
    )


class Automation(BaseSettings):
    """Automation."""

    lag_threshold_records: int = Field(
        default=1,
        ge=1,
        description="Backlog, in records, at which the lag sensor starts a run. A smaller one waits for half of "
        "LAG_LIMIT_SECONDS.",
    )
    sensor_interval_seconds: int = Field(default=5, ge=1, description="Minimum seconds between two sensor ticks.")
    freshness_interval_seconds: int = Field(
        default=30, ge=1, description="Minimum seconds between two checks of the marts' freshness."
    )
    retry_pauses_seconds: str = Field(
        default="60,300,900,3600",
        pattern=r"^\d+(,\d+)*$",
        description="Seconds a sensor waits before it retries a failed job: after the first failure in a row, the "
        "second and so on. The last number applies to all later failures.",
    )
    live_window_seconds: int = Field(
        default=600,
        ge=80,
        description="Freshness window of the live marts, in seconds: WARN after three quarters of it, FAIL at its end.",
    )
    policy_window_seconds: int = Field(
        default=3600,
        ge=80,
        description="Freshness window of the other marts, in seconds: rebuilt after three quarters of it, FAIL at its "
        "end.",
    )
    live_linger_seconds: float = Field(
        default=10, ge=0, description="Seconds a live build waits for new data before it ends."
    )
    quality_interval_seconds: int = Field(
        default=900,
        ge=1,
        description="Minimum seconds between two runs of the data checks. They do not run while there is no new data.",
    )
    nightly_schedule: str = Field(
        default="0 3 * * *", description="When to test whole tables and write the quality report: cron, UTC."
    )
    learning_schedule: str = Field(
        default="0 4 * * *", description="When to learn from listens, with the extra `learning`: cron, UTC."
    )
    reconciliation_schedule: str = Field(
        default="30 2 * * *", description="When to count every partition from Kafka to RAW: cron, UTC."
    )
    maintenance_schedule: str = Field(
        default="17 * * * *", description="When to compact the lake and clean its log: cron, UTC."
    )
    pruning_schedule: str = Field(
        default="47 3 * * *", description="When old runs and events of Dagster and files of dbt are deleted: cron, UTC."
    )
    quarantine_limit: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Largest share of quarantined records in the last hour that raises no warning.",
    )
    drift_limit: float = Field(
        default=0.05, ge=0, le=1, description="Largest share of records with unknown fields that raises no warning."
    )
    inferred_limit: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Largest share of songs missing from the catalogue that raises no warning.",
    )

    run_retention_days: int = Field(
        default=14, ge=1, description="Days for which Dagster keeps finished runs. The latest runs of each job stay."
    )
    run_retention_count: int = Field(
        default=200, ge=20, description="Successful runs of each job that Dagster keeps at most, however young."
    )
    event_retention_days: float = Field(
        default=3,
        gt=0,
        description="Days for which Dagster keeps what belongs to no run: observations of the topics and marts that "
        "were reported as complete. The last one of each asset stays.",
    )
    dagster_postgres_url: str | None = Field(
        default=None,
        description="Database for Dagster's runs, events and schedules: postgresql://user:password@host/database. "
        "Unset: SQLite in the home. Needs the extra `production`, in the checkout: uv pip install -e '.[production]'.",
        repr=False,
    )


class Alerts(BaseSettings):
    """Alerts."""

    alert_urls: str | None = Field(
        default=None,
        description="Where alerts are sent: apprise URLs (slack://…, mailto://…, json://…), separated by spaces. "
        "Unset: only to the log of the watch.",
        repr=False,
    )
    watch_ping_url: str | None = Field(
        default=None,
        description="URL that the watch calls after each complete look, at most once a minute. For a dead man's "
        "switch such as healthchecks.io, which alerts people when the calls stop. Unset: none.",
        repr=False,
    )
    lag_limit_seconds: int = Field(
        default=300, ge=1, description="Age, in seconds, at which the oldest record not yet in RAW raises an alert."
    )
    hang_limit_seconds: int = Field(
        default=300,
        ge=1,
        description="Seconds for which Spark or the warehouse may not answer before the watch ends the runs that have "
        "waited for it for as long. Their clients would wait without end.",
    )
    source_silent_hours: float = Field(
        default=24, gt=0, description="Hours without a new record in any topic after which a warning is raised."
    )
    alert_settle_seconds: float = Field(
        default=60, ge=0, description="Seconds a problem must have been gone before the all-clear is sent."
    )
    watch_interval_seconds: float = Field(default=10, gt=0, description="Pause between two looks of the watch.")
    disk_warning_percent: float = Field(
        default=10, ge=0, lt=100, description="Free share of the home's or a local lake's disk that is a warning."
    )
    disk_critical_percent: float = Field(
        default=3,
        ge=0,
        lt=75,
        description="Free share below which it is critical, and ingestion pauses until there is room again.",
    )


class Tests(BaseSettings):
    """Tests."""

    failpoint: str | None = Field(
        default=None, description="For tests: name of the point in the code at which the process kills itself."
    )


class Ports(BaseSettings):
    """Ports of the local services, on 127.0.0.1."""

    kafka_port: int = Field(default=9092, description="Local broker: clients.")
    kafka_controller_port: int = Field(default=9093, description="Local broker: KRaft controller.")
    spark_port: int = Field(default=15002, description="Local Spark Connect server.")
    warehouse_port: int = Field(default=8084, description="Local warehouse.")
    dagster_port: int = Field(default=3000, description="Dagster's webserver.")
    dagster_host: str = Field(
        default=LOOPBACK,
        description="Address on which Dagster's webserver listens. Another one than 127.0.0.1 only inside a container "
        "whose port is published on the machine's loopback. Requests must name a loopback host in any case.",
    )
    dashboard_port: int = Field(default=8501, description="Dashboard.")
    dashboard_host: str = Field(
        default=LOOPBACK,
        description="Address on which the dashboard listens. Another one than 127.0.0.1 only as with DAGSTER_HOST.",
    )
    kafka_2_port: int = Field(default=9094, description="Second local broker: clients.")
    kafka_2_controller_port: int = Field(default=9095, description="Second local broker: KRaft controller.")
    kafka_3_port: int = Field(default=9096, description="Third local broker: clients.")
    kafka_3_controller_port: int = Field(default=9097, description="Third local broker: KRaft controller.")
    spark_master_port: int = Field(default=7077, description="Local standalone cluster: the master.")
    spark_master_ui_port: int = Field(default=7078, description="Local standalone cluster: the master's web pages.")
    spark_worker_1_port: int = Field(default=7079, description="Local standalone cluster: the first worker.")
    spark_worker_2_port: int = Field(default=7080, description="Local standalone cluster: the second worker.")


class Settings(Ports, Tests, Alerts, Automation, Snowflake, Spark, Kafka, Places):
    """One field per setting. The variable is the field's name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    _sources: Sources | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _take_the_token_out_of_the_address(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The address appears in messages, configuration files and Dagster's store, where a token must not appear."""
        address, found, parameters = str(values.get("spark_remote") or "").partition("/;")
        if not found:
            return values
        pairs = [pair for pair in parameters.split(";") if pair]
        tokens = [pair.partition("=")[2] for pair in pairs if pair.startswith("token=")]
        if not tokens:
            return values
        rest = ";".join(pair for pair in pairs if not pair.startswith("token="))
        return {
            **values,
            "spark_remote": f"{address}/;{rest}" if rest else address,
            "spark_connect_token": values.get("spark_connect_token") or tokens[-1],
        }

    @field_validator("shape_topics")
    @classmethod
    def _known_shapes(cls, value: str) -> str:
        for pair in filter(str.strip, value.split(",")):
            topic, _, shape = (part.strip() for part in pair.partition("="))
            if not topic or shape not in shapes.mapped() or topic in TOPICS.values():
                raise ValueError(
                    f"{pair.strip()!r}: write topic=shape, where the topic is none of the platform's own and the shape "
                    f"is one of {', '.join(shapes.mapped())}"
                )
        return value

    @field_validator("kafka_brokers")
    @classmethod
    def _can_lose_one(cls, value: int) -> int:
        if value == 2:
            raise ValueError("write 1 or 3: two brokers do not survive the loss of one")
        return value

    @field_validator("kafka_sasl_mechanism")
    @classmethod
    def _known_mechanism(cls, value: str | None) -> str | None:
        if value is not None and value not in SASL_MECHANISMS:
            raise ValueError(
                f"{value!r} is none of {', '.join(SASL_MECHANISMS)}. For another mechanism, leave it out and write "
                "sasl.mechanism and what it needs in KAFKA_CLIENT_PROPERTIES and KAFKA_JVM_PROPERTIES"
            )
        return value

    @field_validator("kafka_client_properties", "kafka_jvm_properties")
    @classmethod
    def _is_an_object_of_texts(cls, value: str | None) -> str | None:
        # The text is not repeated: it may hold a secret.
        try:
            found = json.loads(value or "{}")
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
            raise ValueError('is not a JSON object of texts, such as {"client.id": "music"}')
        return value

    @field_validator("kafka_token_function")
    @classmethod
    def _names_a_function(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w.]+:\w+", value):
            raise ValueError(f"{value!r}: write module:name")
        return value

    @field_validator("dagster_postgres_url")
    @classmethod
    def _name_the_driver(cls, url: str | None) -> str | None:
        """SQLAlchemy 2.1 would look for psycopg 3; dagster-postgres brings psycopg2."""
        scheme, found, rest = (url or "").partition("://")
        return f"postgresql+psycopg2://{rest}" if found and scheme in ("postgres", "postgresql") else url

    @model_validator(mode="after")
    def _read_as_the_reader(self) -> "Settings":
        """A session that only reads never runs as the loader because a setting is missing."""
        self.snowflake_read_role = self.snowflake_read_role or f"{self.snowflake_database}_READER"
        return self

    @model_validator(mode="after")
    def _stay_on_this_machine(self) -> "Settings":
        """What was meant for this machine never reaches production because a setting came in from somewhere."""
        if self.music_local_only and (elsewhere := self.addresses_elsewhere()):
            found = ", ".join(f"{name}={where}" for name, where in elsewhere.items())
            raise ValueError(
                f"{found}: this command works on this machine only (MUSIC_LOCAL_ONLY). Unset it, or use another command"
            )
        return self

    def addresses_elsewhere(self) -> dict[str, str]:
        """The settings that lead off this machine, by variable, with the host or account that they name."""
        stores = {
            name: url
            for name, url in {"LAKE_URL": self.lake_url, "INTAKE_URL": self.intake_url}.items()
            if url is not None and "://" in url and not _store_is_local(url)
        }
        addresses = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "SPARK_REMOTE": self.spark_remote if self.spark_remote != "local" else None,
            "DAGSTER_POSTGRES_URL": self.dagster_postgres_url,
        }
        hosts = {name: _hosts_elsewhere(address) for name, address in addresses.items() if address}
        accounts = {"SNOWFLAKE_ACCOUNT": self.snowflake_account} if self.snowflake_account else {}
        return {name: ", ".join(found) for name, found in hosts.items() if found} | stores | accounts

    @property
    def sources(self) -> Sources | None:
        """Where the values are written; None for settings that were built in code."""
        return self._sources

    @property
    def home(self) -> Path:
        """The home as an absolute path."""
        return self.music_home.expanduser().resolve()

    @property
    def is_default_home(self) -> bool:
        """Whether the home is the one that a project has where none is set."""
        project = self._sources.project if self._sources else find_project(Path.cwd())
        return self.home == (project / DEFAULT_HOME).resolve()

    @property
    def kafka_is_local(self) -> bool:
        """Whether `up` has to start a broker."""
        return self.kafka_bootstrap_servers is None

    @property
    def spark_is_local(self) -> bool:
        """Whether `up` has to start a Spark Connect server."""
        return self.spark_remote is None

    @property
    def warehouse_is_local(self) -> bool:
        """Whether `up` has to start the local warehouse."""
        return self.snowflake_account is None

    @property
    def lake_is_local(self) -> bool:
        """Whether the lake is in the home."""
        return self.lake_url is None

    def notices(self) -> list[str]:
        """What a person should know before a command acts: each `.env` that is not read, and what is elsewhere."""
        skipped = self._sources.skipped if self._sources else ()
        return [*skipped, *filter(None, [self.platform()])]

    def platform(self) -> str | None:
        """The home, and the broker, Spark, lake and warehouse behind it, in one line; None if all are of the home."""
        # A classic session in the run's own process needs no Spark elsewhere.
        spark_is_local = self.spark_is_local or self.spark_url is None
        if self.kafka_is_local and spark_is_local and self.lake_is_local and self.warehouse_is_local:
            return None
        parts = {
            "home": str(self.home),
            "broker": "local" if self.kafka_is_local else self.bootstrap_servers,
            "Spark": None if spark_is_local else self.spark_url,
            "lake": None if self.lake_is_local else self.lake_root,
            "warehouse": "local"
            if self.warehouse_is_local
            else f"Snowflake account {self.snowflake_account}, database {self.snowflake_database}",
        }
        return " · ".join(f"{name} {where}" for name, where in parts.items() if where)

    @property
    def loads_in_place(self) -> bool:
        """Whether COPY reads the lake's own files, without a PUT."""
        if self.snowflake_external_stage is not None:
            return self.snowflake_external_stage
        return not self.warehouse_is_local and "://" in self.lake_root

    @property
    def load_interval(self) -> float:
        """Minimum seconds between two loads into the warehouse."""
        if self.load_min_interval is not None:
            return self.load_min_interval
        return 0.0 if self.warehouse_is_local else ACCOUNT_LOAD_INTERVAL

    @property
    def spark_is_standalone(self) -> bool:
        """Whether `up` has to start a standalone cluster under the local Connect server."""
        return self.spark_is_local and self.spark_master == "standalone"

    @property
    def broker_nodes(self) -> tuple[int, ...]:
        """Node ids of the local brokers."""
        return tuple(BROKER_PORTS)[: self.kafka_brokers]

    @property
    def topic_replicas(self) -> int:
        """Replicas of each topic that is created."""
        return self.topic_replication or (self.kafka_brokers if self.kafka_is_local else 1)

    @property
    def bootstrap_servers(self) -> str:
        """Address of the brokers."""
        return self.kafka_bootstrap_servers or ",".join(f"{LOOPBACK}:{self.broker_port(n)}" for n in self.broker_nodes)

    def broker_port(self, node: int) -> int:
        """Port of a local broker for clients."""
        return int(getattr(self, BROKER_PORTS[node][0]))

    def controller_port(self, node: int) -> int:
        """Port of a local broker's KRaft controller."""
        return int(getattr(self, BROKER_PORTS[node][1]))

    @property
    def shape_of_topic(self) -> dict[str, str]:
        """Topic that carries another producer's shape (without the prefix) → name of the shape."""
        pairs = (pair.partition("=") for pair in self.shape_topics.split(",") if pair.strip())
        return {topic.strip(): shape.strip() for topic, _, shape in pairs}

    @property
    def spark_url(self) -> str | None:
        """Address of the Spark Connect server, without its token; None for a classic session in this process.

        The local one is called localhost: Spark's client sends a token without TLS to that name only.
        """
        if self.spark_remote == "local":
            return None
        return self.spark_remote or f"sc://localhost:{self.spark_port}"

    @property
    def spark_token(self) -> str | None:
        """Token that the Spark Connect server requires."""
        return self.music_secret if self.spark_is_local else self.spark_connect_token

    @property
    def lake_root(self) -> str:
        """Folder of the lake as Spark takes it: an absolute path or a URL, without a trailing slash."""
        return (self.lake_url or str(self.home / "lake")).rstrip("/")

    @property
    def intake_root(self) -> str:
        """Folder of the intake: an absolute path or a URL, without a trailing slash."""
        return (self.intake_url or str(self.home / "intake")).rstrip("/")

    @property
    def reference_root(self) -> Path:
        """Folder of the reference CSVs."""
        return self.reference_dir or self.home / "reference"

    @property
    def retry_pauses(self) -> tuple[int, ...]:
        """Seconds to wait after the first, second … failure in a row. The last number applies to all later ones."""
        return tuple(int(pause) for pause in self.retry_pauses_seconds.split(","))

    @property
    def dagster_url(self) -> str:
        """Address of Dagster's UI."""
        return f"http://{LOOPBACK}:{self.dagster_port}"

    @property
    def dashboard_url(self) -> str:
        """Address of the dashboard."""
        return f"http://{LOOPBACK}:{self.dashboard_port}"

    @property
    def kafka_protocol(self) -> str:
        """Security protocol of the brokers' listener."""
        if self.kafka_security_protocol is not None:
            return self.kafka_security_protocol
        return "SASL_PLAINTEXT" if self._kafka_requires_the_secret else "PLAINTEXT"

    @property
    def kafka_credentials(self) -> tuple[str | None, str | None, str | None]:
        """SASL mechanism, user and password."""
        if self._kafka_requires_the_secret:
            return "PLAIN", KAFKA_USER, self.music_secret
        return self.kafka_sasl_mechanism, self.kafka_sasl_username, self.kafka_sasl_password

    @property
    def _kafka_requires_the_secret(self) -> bool:
        return self.kafka_is_local and self.kafka_security_protocol is None and self.music_secret is not None

    @property
    def kafka_is_encrypted(self) -> bool:
        """Whether clients talk to the brokers over TLS."""
        return self.kafka_protocol in ("SSL", "SASL_SSL")

    @property
    def kafka_tls_dir(self) -> Path:
        """Folder of the local broker's own certificates."""
        return self.home / "kafka" / "tls"

    def _kafka_pem_files(self) -> tuple[Path | None, Path | None, Path | None]:
        """CA, client certificate and client key: as set, or the local broker's."""
        ca, certificate, key = (
            self.kafka_ssl_ca_location,
            self.kafka_ssl_certificate_location,
            self.kafka_ssl_key_location,
        )
        if self.kafka_is_local and self.kafka_is_encrypted:
            ca = ca or self.kafka_tls_dir / "ca.pem"
            if self.kafka_protocol == "SSL" and certificate is None:
                certificate, key = self.kafka_tls_dir / "client.pem", self.kafka_tls_dir / "client.key"
        return ca, certificate, key

    def kafka_client_config(self) -> dict[str, Any]:
        """Connection settings under librdkafka's names, for confluent-kafka clients."""
        ca, certificate, key = self._kafka_pem_files()
        mechanism, user, password = self.kafka_credentials
        given: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.kafka_protocol,
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": password,
            "ssl.ca.location": str(ca) if ca else None,
            "ssl.certificate.location": str(certificate) if certificate else None,
            "ssl.key.location": str(key) if key else None,
            "ssl.key.password": self.kafka_ssl_key_password,
            "oauth_cb": _function(self.kafka_token_function) if self.kafka_token_function else None,
        }
        further: dict[str, Any] = json.loads(self.kafka_client_properties or "{}")
        given = {name: value for name, value in given.items() if value is not None}
        return given | further

    def kafka_jvm_config(self) -> dict[str, str]:
        """The same under the Java client's names, without the brokers' addresses, for Spark.

        Certificates are passed by content, so Spark's executors need no file from this machine.
        """
        further = {name: text for name, text in self._jvm_properties().items() if not name.startswith(OPTION)}
        if self.kafka_protocol == "PLAINTEXT":
            return further
        given = {"security.protocol": self.kafka_protocol}
        mechanism, user, password = self.kafka_credentials
        if mechanism == "OAUTHBEARER":
            given["sasl.mechanism"] = mechanism
            given["sasl.jaas.config"] = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
        elif mechanism and user:
            module = (
                "org.apache.kafka.common.security.plain.PlainLoginModule"
                if mechanism == "PLAIN"
                else "org.apache.kafka.common.security.scram.ScramLoginModule"
            )
            given["sasl.mechanism"] = mechanism
            given["sasl.jaas.config"] = (
                f"{module} required username={_quoted(user)} password={_quoted(password or '')};"
            )
        ca, certificate, key = self._kafka_pem_files()
        if ca:
            given |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": ca.read_text()}
        if certificate and key:
            given["ssl.keystore.type"] = "PEM"
            given["ssl.keystore.certificate.chain"] = certificate.read_text()
            given["ssl.keystore.key"] = key.read_text()
        if self.kafka_ssl_key_password:
            given["ssl.key.password"] = self.kafka_ssl_key_password
        return given | further

    def kafka_source_options(self) -> dict[str, str]:
        """Options of Spark's Kafka source that are none of the Java client's."""
        return {
            name.removeprefix(OPTION): text for name, text in self._jvm_properties().items() if name.startswith(OPTION)
        }

    def _jvm_properties(self) -> dict[str, str]:
        return dict(json.loads(self.kafka_jvm_properties or "{}"))


def _hosts_elsewhere(address: str) -> list[str]:
    """The hosts of an address (host:port[,host:port], with a scheme or without) that are not this machine."""
    parts = [urlsplit(f"//{part.rpartition('://')[2]}") for part in address.split(",")]
    hosts = [part.hostname or "" for part in parts]
    # A database's host may be a parameter. Without one, or with a path, it is asked over a socket of this machine.
    hosts += [host for part in parts for host in parse_qs(part.query).get("host", ()) if not host.startswith("/")]
    return [host for host in hosts if host and not _is_loopback(host)]


def _is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


#: Variable with the address of a server in place of the cloud's, by a store's scheme.
_STORE_SERVERS = {"s3a": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}


def _store_is_local(url: str) -> bool:
    server = os.environ.get(_STORE_SERVERS.get(url.partition("://")[0], ""), "")
    return bool(server) and not _hosts_elsewhere(server)


def _function(name: str) -> Callable[..., Any]:
    """The function that `module:name` names. Raises SettingsError."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"KAFKA_TOKEN_FUNCTION={name} cannot be imported: {error}") from None
    return found  # type: ignore[no-any-return]


def _quoted(text: str) -> str:
    """A value as a JAAS configuration writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


#: The groups of the settings, in the order in which people are shown them.
GROUPS: tuple[type[BaseSettings], ...] = (Places, Kafka, Spark, Snowflake, Automation, Alerts, Tests, Ports)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Tests pass a `Settings` of their own instead."""
    return load_settings()


def load_settings() -> Settings:
    """Read the settings again, for the platform of the working directory. Raises SettingsError."""
    sources = find_sources(os.environ, Path.cwd())
    given = {name: _text(name, sources.values[name]) for name in Settings.model_fields if name in sources.values}
    values: dict[str, Any] = {**given, "music_home": sources.home}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_complaint(error, sources.values)) from None
    settings._sources = sources
    return settings


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting's value must not be shown."""
    return not field.repr


def without_secrets(settings: "Settings", text: str) -> str:
    """The text with the value of every secret setting replaced."""
    values = (str(getattr(settings, name) or "") for name, field in Settings.model_fields.items() if is_secret(field))
    for secret in sorted((part for value in values for part in value.split()), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _text(name: str, value: Value) -> str:
    """The value as it is written, but a path of a file as an absolute one."""
    is_url = name in ("lake_url", "intake_url")
    is_path = (is_url and "://" not in value.text) or "Path" in str(Settings.model_fields[name].annotation)
    return str(value.as_path()) if is_path else value.text


def _complaint(error: ValidationError, values: Mapping[str, Value]) -> str:
    """What is wrong with which setting, and where it is written."""
    problems = []
    for found in error.errors():
        if not found["loc"]:
            # Of several settings together: the message names them.
            problems.append(str(found["msg"]).removeprefix("Value error, "))
            continue
        name = str(found["loc"][0])
        shown = "…" if is_secret(Settings.model_fields[name]) else repr(found["input"])
        problems.append(f"{name.upper()}={shown} ({values[name].origin}): {found['msg']}")
    return "A setting is wrong. " + "; ".join(problems)
