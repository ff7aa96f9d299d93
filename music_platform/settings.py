"""Every setting of the platform: its environment variable, default and meaning.

Read from the environment, then from `.env` in the working directory, then from `ports.env` in the home (written by
`music-platform up`). Nothing else in the project reads `os.environ` for a setting.
"""

import os
from functools import lru_cache
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from music_platform.contracts import shapes
from music_platform.contracts.events import TOPICS

DEFAULT_HOME = ".local"
PORTS_FILE = "ports.env"
LOOPBACK = "127.0.0.1"
#: The settings that are ports, in the order in which they are chosen.
PORT_FIELDS = ("kafka_port", "kafka_controller_port", "spark_port", "warehouse_port", "dagster_port")
#: Seconds from load to load where the warehouse is billed: Snowflake bills a minute at the least.
ACCOUNT_LOAD_INTERVAL = 60.0


class Settings(BaseSettings):
    """One field per setting. The variable is the field's name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    # --- Where things are -------------------------------------------------------------------------------------------
    music_home: Path = Field(
        default=Path(DEFAULT_HOME),
        description="Folder of all local state. Two homes run side by side on ports of their own.",
    )
    jars_dir: Path | None = Field(
        default=None,
        description="Maven-layout folder of the JVM jars. Unset: the user's Maven repository, ~/.m2/repository.",
    )
    java_home: Path | None = Field(
        default=None, description="Java 17 or newer for the broker and Spark. Unset: `java` on the PATH."
    )
    jvm_options: str = Field(
        default="",
        description="More options for the JVMs of the local broker and Spark. -XX:TieredStopAtLevel=1 halves what "
        "a start and the first batches cost; large batches are slower by it in the long run.",
    )
    lake_url: str | None = Field(
        default=None,
        description="Folder of the Delta lake: a path or s3a://bucket/path, gs://bucket/path. Unset: <home>/lake.",
    )
    intake_url: str | None = Field(
        default=None,
        description="Folder into which producers drop files: a path or s3a://…, gs://…, with a folder for each topic "
        "and shape. Unset: <home>/intake.",
    )
    intake_max_file_bytes: int = Field(
        default=64 << 20, ge=1, description="Bytes of text that an intake file may have; bounds Spark's memory."
    )
    intake_retention_days: float = Field(
        default=30,
        gt=0,
        description="Days for which files that were taken in or refused are kept, and their names remembered. After "
        "that a name may be used again.",
    )
    reference_dir: Path | None = Field(
        default=None,
        description="Folder of songs.csv, artists.csv and users.csv. Unset: <home>/reference, which `simulate` fills.",
    )

    # --- Kafka ------------------------------------------------------------------------------------------------------
    kafka_bootstrap_servers: str | None = Field(
        default=None,
        description="host:port[,host:port] of a Kafka cluster. Unset: the local broker on 127.0.0.1:<KAFKA_PORT>.",
    )
    kafka_security_protocol: str = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; passed to every Kafka client."
    )
    kafka_sasl_mechanism: str | None = Field(default=None, description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    kafka_sasl_username: str | None = Field(default=None, description="SASL user name.")
    kafka_sasl_password: str | None = Field(default=None, description="SASL password.", repr=False)
    kafka_ssl_ca_location: Path | None = Field(
        default=None,
        description="PEM file of the CA that signed the brokers. Unset: the system's; for the local broker its own.",
    )
    kafka_ssl_certificate_location: Path | None = Field(
        default=None,
        description="Mutual TLS: PEM file of the client's certificate. Unset with KAFKA_SECURITY_PROTOCOL=SSL and the "
        "local broker: one that the broker trusts.",
    )
    kafka_ssl_key_location: Path | None = Field(
        default=None, description="Mutual TLS: PEM file of the client's private key, in PKCS #8."
    )
    kafka_ssl_key_password: str | None = Field(default=None, description="Its passphrase.", repr=False)
    topic_prefix: str = Field(
        default="", description="Put before the name of each topic; lets several platforms share one cluster."
    )
    shape_topics: str = Field(
        default="",
        description="Further topics, of other producers' shapes: topic=shape[,topic=shape]; the shapes are those of "
        "contracts/shapes. TOPIC_PREFIX goes before these names too.",
    )
    topic_partitions: int = Field(default=4, ge=1, description="Partitions of a topic that `up` creates.")
    topic_replication: int = Field(default=1, ge=1, description="Replicas of a topic that `up` creates.")
    kafka_retention_hours: int = Field(
        default=7 * 24, ge=1, description="Local broker: hours after which records are deleted."
    )
    kafka_retention_bytes: int = Field(
        default=8 << 30,
        ge=64 << 20,
        description="Local broker: bytes that all its topics keep together, in equal shares for each partition. The "
        "oldest records go first.",
    )

    # --- Spark ------------------------------------------------------------------------------------------------------
    spark_remote: str | None = Field(
        default=None,
        description="Spark Connect address, sc://host:port. Unset: the local Connect server. 'local': no Connect, "
        "a classic session inside the run's own process.",
    )
    spark_driver_memory: str = Field(default="2g", description="Heap of the local Spark Connect server.")
    max_records_per_batch: int = Field(
        default=1_000_000, ge=1, description="Records that one micro-batch reads at the most; bounds its memory."
    )
    max_drain_seconds: float = Field(
        default=600, gt=0, description="Seconds after which a draining run starts no further micro-batch."
    )

    lease_wait_seconds: float = Field(
        default=900, ge=0, description="Seconds for which a run waits for another one that is writing the lake."
    )
    lake_retention_hours: int = Field(
        default=7 * 24, ge=1, description="Hours for which data files that compaction has replaced are kept."
    )
    log_retention_hours: int = Field(
        default=48, ge=1, description="Hours for which versions of the lake's log are kept once they are loaded."
    )

    # --- Snowflake --------------------------------------------------------------------------------------------------
    snowflake_account: str | None = Field(
        default=None, description="Account identifier. Unset: the local warehouse on 127.0.0.1:<WAREHOUSE_PORT>."
    )
    snowflake_user: str = Field(default="music", description="User name.")
    snowflake_password: str | None = Field(default=None, description="Password; prefer a key pair.", repr=False)
    snowflake_private_key_path: Path | None = Field(default=None, description="PEM file of the user's private key.")
    snowflake_private_key_passphrase: str | None = Field(default=None, description="Its passphrase.", repr=False)
    snowflake_role: str | None = Field(
        default=None, description="Role that loads RAW and keeps OPS; of every session without a role of its own."
    )
    snowflake_transform_role: str | None = Field(
        default=None, description="Role of dbt, which builds STAGING, SILVER and GOLD. Unset: SNOWFLAKE_ROLE."
    )
    snowflake_read_role: str | None = Field(
        default=None,
        description="Role of `music-platform sql` and of dashboards: sees personal columns masked. Unset: "
        "SNOWFLAKE_ROLE.",
    )
    snowflake_warehouse: str | None = Field(default=None, description="Virtual warehouse of every session.")
    snowflake_database: str = Field(default="MUSIC", description="Database with the schemas RAW … GOLD, OPS.")
    snowflake_external_stage: bool | None = Field(
        default=None,
        description="Whether Snowflake reads the lake's files where they are, through the external stage "
        "RAW.LAKE_FILES, rather than have them PUT into an internal one. Unset: yes for an account with the lake on "
        "s3a:// or gs://, no otherwise.",
    )
    load_min_interval: float | None = Field(
        default=None,
        ge=0,
        description="Seconds from one load into the warehouse to the next at the least; what has come since goes "
        "along. Unset: 0 for the local warehouse, 60 for an account, which bills each minute that it is awake.",
    )

    # --- Automation -------------------------------------------------------------------------------------------------
    lag_threshold_records: int = Field(
        default=1, ge=1, description="Backlog in records from which the lag sensor starts a run."
    )
    sensor_interval_seconds: int = Field(default=5, ge=1, description="Shortest pause between two sensor ticks.")
    freshness_interval_seconds: int = Field(
        default=30, ge=1, description="Shortest pause between two looks at the marts' freshness."
    )
    retry_pauses_seconds: str = Field(
        default="60,300,900,3600",
        pattern=r"^\d+(,\d+)*$",
        description="Seconds before a sensor starts again what has failed: after the first failure in a row, the "
        "second, … and, the last number, after all later ones.",
    )
    live_window_seconds: int = Field(
        default=600, ge=80, description="Freshness of the live marts: WARN at three quarters of it, FAIL at its end."
    )
    policy_window_seconds: int = Field(
        default=3600,
        ge=80,
        description="Freshness of the other marts: they are rebuilt at three quarters of it, FAIL at its end.",
    )
    live_linger_seconds: float = Field(
        default=10, ge=0, description="Seconds for which a live build waits for more to build from before it ends."
    )
    quality_interval_seconds: int = Field(
        default=900, ge=1, description="Shortest pause between two runs of the data checks; none while nothing is new."
    )
    nightly_schedule: str = Field(
        default="0 3 * * *", description="When whole tables are tested and the report is written: cron, UTC."
    )
    reconciliation_schedule: str = Field(
        default="30 2 * * *", description="When every partition is counted from Kafka to RAW: cron, UTC."
    )
    maintenance_schedule: str = Field(
        default="17 * * * *", description="When the lake is compacted and its log cleaned: cron, UTC."
    )
    pruning_schedule: str = Field(
        default="47 3 * * *", description="When old runs and events of Dagster and files of dbt are deleted: cron, UTC."
    )
    quarantine_limit: float = Field(
        default=0.02, ge=0, le=1, description="Share of quarantined records in the last hour that is no warning yet."
    )
    drift_limit: float = Field(
        default=0.05, ge=0, le=1, description="Share of records with unknown fields that is no warning yet."
    )
    inferred_limit: float = Field(
        default=0.05, ge=0, le=1, description="Share of songs that no catalogue has that is no warning yet."
    )

    run_retention_days: int = Field(
        default=14, ge=1, description="Days for which Dagster keeps finished runs; the last ones of each job stay."
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
        description="postgresql://user:password@host/database for Dagster's runs, events and schedules. Unset: SQLite "
        "under the home. Needs the extra `production`: pip install 'music-platform[production]'.",
        repr=False,
    )

    # --- Alerts -----------------------------------------------------------------------------------------------------
    alert_urls: str | None = Field(
        default=None,
        description="Where alerts go: URLs as apprise takes them (slack://…, mailto://…, json://…), separated by "
        "spaces. Unset: to the log of the watch only.",
        repr=False,
    )
    lag_limit_seconds: int = Field(
        default=300, ge=1, description="Age of the oldest record that is not in RAW from which it is an alert."
    )
    source_silent_hours: float = Field(
        default=24, gt=0, description="Hours without a new record in any topic from which it is a warning."
    )
    alert_settle_seconds: float = Field(
        default=60, ge=0, description="Seconds for which a problem must have been away before the all-clear."
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

    # --- Tests ------------------------------------------------------------------------------------------------------
    failpoint: str | None = Field(
        default=None, description="For tests: name of a point in the code at which the process kills itself."
    )

    # --- Ports of the local services (all on 127.0.0.1) -------------------------------------------------------------
    kafka_port: int = Field(default=9092, description="Local broker: clients.")
    kafka_controller_port: int = Field(default=9093, description="Local broker: KRaft controller.")
    spark_port: int = Field(default=15002, description="Local Spark Connect server.")
    warehouse_port: int = Field(default=8084, description="Local warehouse.")
    dagster_port: int = Field(default=3000, description="Dagster's webserver.")

    @field_validator("shape_topics")
    @classmethod
    def _known_shapes(cls, value: str) -> str:
        for pair in filter(str.strip, value.split(",")):
            topic, _, shape = (part.strip() for part in pair.partition("="))
            if not topic or shape not in shapes.mapped() or topic in TOPICS.values():
                raise ValueError(
                    f"{pair.strip()!r}: write topic=shape, with a topic of its own and one of the shapes "
                    + ", ".join(shapes.mapped())
                )
        return value

    @field_validator("dagster_postgres_url")
    @classmethod
    def _name_the_driver(cls, url: str | None) -> str | None:
        """SQLAlchemy 2.1 would look for psycopg 3; dagster-postgres brings psycopg2."""
        scheme, found, rest = (url or "").partition("://")
        return f"postgresql+psycopg2://{rest}" if found and scheme in ("postgres", "postgresql") else url

    @property
    def home(self) -> Path:
        """The home as an absolute path."""
        return self.music_home.expanduser().resolve()

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
    def loads_in_place(self) -> bool:
        """Whether COPY reads the lake's own files, without a PUT."""
        if self.snowflake_external_stage is not None:
            return self.snowflake_external_stage
        return not self.warehouse_is_local and "://" in self.lake_root

    @property
    def load_interval(self) -> float:
        """Seconds from one load into the warehouse to the next at the least."""
        if self.load_min_interval is not None:
            return self.load_min_interval
        return 0.0 if self.warehouse_is_local else ACCOUNT_LOAD_INTERVAL

    @property
    def bootstrap_servers(self) -> str:
        """Address of the brokers."""
        return self.kafka_bootstrap_servers or f"{LOOPBACK}:{self.kafka_port}"

    @property
    def shape_of_topic(self) -> dict[str, str]:
        """Topics of other producers' shapes, without the prefix → name of the shape."""
        pairs = (pair.partition("=") for pair in self.shape_topics.split(",") if pair.strip())
        return {topic.strip(): shape.strip() for topic, _, shape in pairs}

    @property
    def spark_url(self) -> str | None:
        """Address of the Spark Connect server; None for a classic session in the own process."""
        if self.spark_remote == "local":
            return None
        return self.spark_remote or f"sc://{LOOPBACK}:{self.spark_port}"

    @property
    def lake_root(self) -> str:
        """Folder of the lake as Spark takes it: an absolute path or a URL, without a slash at its end."""
        return (self.lake_url or str(self.home / "lake")).rstrip("/")

    @property
    def intake_root(self) -> str:
        """Folder of the intake: an absolute path or a URL, without a slash at its end."""
        return (self.intake_url or str(self.home / "intake")).rstrip("/")

    @property
    def reference_root(self) -> Path:
        """Folder of the reference CSVs."""
        return self.reference_dir or self.home / "reference"

    @property
    def retry_pauses(self) -> tuple[int, ...]:
        """Seconds to wait after the first, second … failure in a row; from the last on it stays."""
        return tuple(int(pause) for pause in self.retry_pauses_seconds.split(","))

    @property
    def dagster_url(self) -> str:
        """Address of Dagster's UI."""
        return f"http://{LOOPBACK}:{self.dagster_port}"

    @property
    def kafka_is_encrypted(self) -> bool:
        """Whether clients talk TLS with the brokers."""
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def kafka_tls_dir(self) -> Path:
        """Folder of the certificates that the local broker makes itself."""
        return self.home / "kafka" / "tls"

    def _kafka_pem_files(self) -> tuple[Path | None, Path | None, Path | None]:
        """CA, client's certificate and client's key: as set, or those of the local broker."""
        ca, certificate, key = (
            self.kafka_ssl_ca_location,
            self.kafka_ssl_certificate_location,
            self.kafka_ssl_key_location,
        )
        if self.kafka_is_local and self.kafka_is_encrypted:
            ca = ca or self.kafka_tls_dir / "ca.pem"
            if self.kafka_security_protocol == "SSL" and certificate is None:
                certificate, key = self.kafka_tls_dir / "client.pem", self.kafka_tls_dir / "client.key"
        return ca, certificate, key

    def kafka_client_config(self) -> dict[str, str]:
        """Connection settings under librdkafka's names, for confluent-kafka's clients."""
        ca, certificate, key = self._kafka_pem_files()
        given: dict[str, str | None] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.kafka_sasl_username,
            "sasl.password": self.kafka_sasl_password,
            "ssl.ca.location": str(ca) if ca else None,
            "ssl.certificate.location": str(certificate) if certificate else None,
            "ssl.key.location": str(key) if key else None,
            "ssl.key.password": self.kafka_ssl_key_password,
        }
        return {name: value for name, value in given.items() if value is not None}

    def kafka_jvm_config(self) -> dict[str, str]:
        """The same under the Java client's names, without the brokers' addresses, for Spark.

        Certificates go by content: Spark's executors need no file of this machine.
        """
        if self.kafka_security_protocol == "PLAINTEXT":
            return {}
        given = {"security.protocol": self.kafka_security_protocol}
        if self.kafka_sasl_mechanism and self.kafka_sasl_username:
            module = (
                "org.apache.kafka.common.security.plain.PlainLoginModule"
                if self.kafka_sasl_mechanism == "PLAIN"
                else "org.apache.kafka.common.security.scram.ScramLoginModule"
            )
            given["sasl.mechanism"] = self.kafka_sasl_mechanism
            given["sasl.jaas.config"] = (
                f"{module} required username={_quoted(self.kafka_sasl_username)} "
                f"password={_quoted(self.kafka_sasl_password or '')};"
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
        return given


def _quoted(text: str) -> str:
    """A value as a JAAS configuration writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once. Tests pass a `Settings` of their own instead."""
    return load_settings()


def load_settings() -> Settings:
    """Read the settings anew: the environment wins over `.env`, which wins over the home's `ports.env`."""
    home = Path(os.environ.get("MUSIC_HOME") or DEFAULT_HOME).expanduser()
    # pydantic-settings lets the later file win.
    return Settings(_env_file=(home / PORTS_FILE, ".env"))
