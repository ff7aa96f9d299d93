"""The local broker: one Apache Kafka node in KRaft mode, from the locked jars, with its records under the home."""

import base64
import subprocess
import uuid

from music_platform.local.errors import LocalStackError
from music_platform.local.home import Home
from music_platform.local.jars import BROKER, jar_paths
from music_platform.local.java import LOG4J_CONFIG, Java
from music_platform.settings import LOOPBACK, Settings

HEAP = "512m"


def server_properties(settings: Settings) -> str:
    """The broker's configuration. Sizes are for one machine: a segment is small enough that retention can act on it."""
    client = f"PLAINTEXT://{LOOPBACK}:{settings.kafka_port}"
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        # A static voter: the ports may change between two starts.
        "controller.quorum.voters": f"1@{LOOPBACK}:{settings.kafka_controller_port}",
        "listeners": f"{client},CONTROLLER://{LOOPBACK}:{settings.kafka_controller_port}",
        "advertised.listeners": client,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": Home(settings.home).kafka / "data",
        "auto.create.topics.enable": "false",
        "log.retention.ms": settings.kafka_retention_hours * 3_600_000,
        "log.retention.bytes": settings.kafka_retention_bytes,
        "log.segment.bytes": min(64 << 20, settings.kafka_retention_bytes),
        "log.index.size.max.bytes": 2 << 20,
        "log.cleaner.dedupe.buffer.size": 16 << 20,
        # A broker that was killed is let in again when its old session is over; the default of 9 s is for networks.
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
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def java_arguments(settings: Settings) -> str:
    """The JVM's options as an argument file: the class path alone is longer than a command line should be."""
    class_path = ":".join(str(path) for path in jar_paths(settings, BROKER))
    options = [
        f"-Xms128m -Xmx{HEAP} -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true",
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
    arguments = home.kafka / "java.args"
    arguments.write_text(java_arguments(settings))
    if (home.kafka / "data" / "meta.properties").is_file():
        return
    # --ignore-formatted makes a format that was killed half-way repeatable.
    format_storage = [str(java.executable), f"@{arguments}", "kafka.tools.StorageTool", "format", "--ignore-formatted"]
    format_storage += ["--cluster-id", new_cluster_id(), "--config", str(properties)]
    done = subprocess.run(format_storage, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise LocalStackError(
            f"Kafka cannot format its storage in {home.kafka / 'data'}: {(done.stderr or done.stdout).strip()[-800:]}"
        )


def new_cluster_id() -> str:
    """A random cluster id in Kafka's form: 16 bytes in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
