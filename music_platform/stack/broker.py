"""The local broker: one Apache Kafka node in KRaft mode, from the locked jars, with its records in the home."""

import base64
import os
import subprocess
import uuid

from music_platform.contracts.events import TOPICS
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.settings import LOOPBACK, Settings
from music_platform.stack import tls
from music_platform.stack.jars import BROKER, jar_paths
from music_platform.stack.java import LOG4J_CONFIG, Java

HEAP = "512m"
#: Bytes of a segment, at least (Kafka's own limit) and at most.
SEGMENT_BYTES = (1 << 20, 64 << 20)


def password_variable(settings: Settings) -> str:
    """The variable from which the broker reads its password, which is in no configuration file."""
    return "MUSIC_SECRET" if settings.kafka_security_protocol is None else "KAFKA_SASL_PASSWORD"


def security_properties(settings: Settings) -> dict[str, str]:
    """What the listener requires of clients: nothing, a password (PLAIN) or a certificate, with or without TLS.

    Raises LocalStackError for settings that the local broker does not support.
    """
    protocol = settings.kafka_protocol
    lines: dict[str, str] = {}
    if protocol.startswith("SASL_"):
        mechanism, user, password = settings.kafka_credentials
        if mechanism != "PLAIN" or not user or not password or set(user + password) & set('"\\;'):
            raise LocalStackError(
                f"The local broker with KAFKA_SECURITY_PROTOCOL={protocol} needs KAFKA_SASL_MECHANISM=PLAIN, and "
                'KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD without the characters " \\ and ;'
            )
        variable = password_variable(settings)
        lines = {
            "config.providers": "env",
            "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
            "config.providers.env.param.allowlist.pattern": variable,
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            f"listener.name.{protocol.lower()}.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'username="{user}" password="${{env:{variable}}}" user_{user}="${{env:{variable}}}";'
            ),
        }
    if settings.kafka_is_encrypted:
        lines |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(settings.kafka_tls_dir / tls.BROKER),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(settings.kafka_tls_dir / tls.CA),
            "ssl.client.auth": "required" if protocol == "SSL" else "none",
        }
    return lines


def partition_bytes(settings: Settings) -> tuple[int, int]:
    """Bytes that a partition may have, its share of KAFKA_RETENTION_BYTES, and those of one of its segments."""
    topics = len(TOPICS) + len(settings.shape_of_topic)
    share = settings.kafka_retention_bytes // (topics * settings.topic_partitions)
    segment = max(SEGMENT_BYTES[0], min(SEGMENT_BYTES[1], share // 4))
    return max(share, 2 * segment), segment


def server_properties(settings: Settings) -> str:
    """The broker's configuration, sized for one machine: segments are small enough for retention to delete them."""
    protocol = settings.kafka_protocol
    share, segment = partition_bytes(settings)
    client = f"{protocol}://{LOOPBACK}:{settings.kafka_port}"
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        # A static voter: the ports may change between two starts.
        "controller.quorum.voters": f"1@{LOOPBACK}:{settings.kafka_controller_port}",
        "listeners": f"{client},CONTROLLER://{LOOPBACK}:{settings.kafka_controller_port}",
        "advertised.listeners": client,
        "listener.security.protocol.map": f"{protocol}:{protocol},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": protocol,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": Home(settings.home).kafka / "data",
        "auto.create.topics.enable": "false",
        "log.retention.ms": settings.kafka_retention_hours * 3_600_000,
        # The segment that is being written is never deleted: it comes on top of what is kept.
        "log.retention.bytes": share - segment,
        "log.segment.bytes": segment,
        "log.retention.check.interval.ms": 60_000,
        # The controller's own log: it writes twice a second even when nothing happens.
        "metadata.log.segment.bytes": 8 << 20,
        "metadata.max.retention.bytes": 32 << 20,
        "log.index.size.max.bytes": 2 << 20,
        "log.cleaner.dedupe.buffer.size": 16 << 20,
        # A killed broker can rejoin when its old session times out. The default of 9 s is meant for networks.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        **security_properties(settings),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def java_arguments(settings: Settings) -> str:
    """The JVM's options as an argument file, because the class path is too long for a command line."""
    class_path = ":".join(str(path) for path in jar_paths(settings, BROKER))
    options = [
        f"-Xms128m -Xmx{HEAP} -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true {settings.jvm_options}",
        f'"-Dlog4j2.configurationFile={LOG4J_CONFIG}"',
        f'-cp "{class_path}"',
    ]
    return "\n".join(options) + "\n"


def command(settings: Settings, java: Java) -> list[str]:
    """The broker's command line."""
    home = Home(settings.home)
    return [str(java.executable), f"@{home.kafka / 'java.args'}", "kafka.Kafka", str(home.kafka / "server.properties")]


def prepare(settings: Settings, java: Java) -> None:
    """Render the configuration and, on the first start, format the storage."""
    home = Home(settings.home)
    home.kafka.mkdir(parents=True, exist_ok=True)
    properties = home.kafka / "server.properties"
    properties.write_text(server_properties(settings))
    if settings.kafka_is_encrypted:
        tls.make_certificates(settings.kafka_tls_dir)
    arguments = home.kafka / "java.args"
    arguments.write_text(java_arguments(settings))
    if (home.kafka / "data" / "meta.properties").is_file():
        return
    # With --ignore-formatted, a format that was killed half-way can be repeated.
    format_storage = [str(java.executable), f"@{arguments}", "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    format_storage += ["--cluster-id", new_cluster_id(), "--config", str(properties)]
    environment = {**os.environ, password_variable(settings): settings.kafka_credentials[2] or ""}
    done = subprocess.run(format_storage, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise LocalStackError(
            f"Kafka cannot format its storage in {home.kafka / 'data'}: {(done.stderr or done.stdout).strip()[-800:]}"
        )


def new_cluster_id() -> str:
    """A random cluster id in Kafka's form: 16 bytes in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
