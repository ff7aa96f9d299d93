"""The local brokers: Apache Kafka in KRaft mode, from the locked jars, with the records in the home.

One node, or three that replicate every partition. Each is broker and controller at once.
"""

import base64
import hashlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from music_platform.contracts.events import TOPICS
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.settings import BROKER_PORTS, LOOPBACK, Settings
from music_platform.stack import tls
from music_platform.stack.jars import BROKER, jar_paths
from music_platform.stack.java import LOG4J_CONFIG, Java

HEAP = "512m"
#: The login module of each mechanism that the local broker supports.
MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
#: How often SCRAM hashes a password: Kafka's least.
SCRAM_ITERATIONS = 4096
#: Bytes of a segment, at least (Kafka's own limit) and at most.
SEGMENT_BYTES = (1 << 20, 64 << 20)


def password_variable(settings: Settings) -> str:
    """The variable from which the broker reads its password, which is in no configuration file."""
    return "MUSIC_SECRET" if settings.kafka_security_protocol is None else "KAFKA_SASL_PASSWORD"


def security_properties(settings: Settings) -> dict[str, str]:
    """What the listener requires of clients: nothing, a password (PLAIN or SCRAM) or a certificate, with TLS or not.

    Raises LocalStackError for settings that the local broker does not support.
    """
    protocol = settings.kafka_protocol
    lines: dict[str, str] = {}
    if protocol.startswith("SASL_"):
        mechanism, user, password = settings.kafka_credentials
        if mechanism not in MODULES or not user or not password or set(user + password) & set('"\\;'):
            raise LocalStackError(
                f"The local broker with KAFKA_SECURITY_PROTOCOL={protocol} needs KAFKA_SASL_MECHANISM="
                f"{' or '.join(MODULES)}, and "
                'KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD without the characters " \\ and ;'
            )
        variable = password_variable(settings)
        # PLAIN compares with the users in the configuration, SCRAM with those in the storage.
        users = f' user_{user}="${{env:{variable}}}"' if mechanism == "PLAIN" else ""
        lines = {
            "config.providers": "env",
            "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
            "config.providers.env.param.allowlist.pattern": variable,
            "sasl.enabled.mechanisms": mechanism,
            "sasl.mechanism.inter.broker.protocol": mechanism,
            f"listener.name.{protocol.lower()}.{mechanism.lower()}.sasl.jaas.config": (
                f'{MODULES[mechanism]} required username="{user}" password="${{env:{variable}}}"{users};'
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
    """Bytes that a replica of a partition may have, its share of KAFKA_RETENTION_BYTES, and those of one segment."""
    topics = len(TOPICS) + len(settings.shape_of_topic)
    share = settings.kafka_retention_bytes // (topics * settings.topic_partitions * settings.topic_replicas)
    segment = max(SEGMENT_BYTES[0], min(SEGMENT_BYTES[1], share // 4))
    return max(share, 2 * segment), segment


def in_sync(replicas: int) -> int:
    """Replicas that must have a record before it is acknowledged: all but one, so that one broker may be lost."""
    return max(1, replicas - 1)


def server_properties(settings: Settings, node: int = 1) -> str:
    """A broker's configuration, sized for one machine: segments are small enough for retention to delete them."""
    protocol = settings.kafka_protocol
    share, segment = partition_bytes(settings)
    client = f"{protocol}://{LOOPBACK}:{settings.broker_port(node)}"
    replicas, least = settings.kafka_brokers, in_sync(settings.kafka_brokers)
    lines = {
        "process.roles": "broker,controller",
        "node.id": node,
        # Static voters: the ports may change between two starts.
        "controller.quorum.voters": ",".join(
            f"{voter}@{LOOPBACK}:{settings.controller_port(voter)}" for voter in settings.broker_nodes
        ),
        "listeners": f"{client},CONTROLLER://{LOOPBACK}:{settings.controller_port(node)}",
        "advertised.listeners": client,
        "listener.security.protocol.map": f"{protocol}:{protocol},CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": protocol,
        "controller.listener.names": "CONTROLLER",
        "log.dirs": Home(settings.home).broker(node) / "data",
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": least,
        "unclean.leader.election.enable": "false",
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
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 1,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": least,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": least,
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


def command(settings: Settings, java: Java, node: int = 1) -> list[str]:
    """A broker's command line."""
    folder = Home(settings.home).broker(node)
    return [str(java.executable), f"@{folder / 'java.args'}", "kafka.Kafka", str(folder / "server.properties")]


def prepare(settings: Settings, java: Java) -> None:
    """Render the configuration of every broker and, on the first start, format the storage of all.

    Raises LocalStackError if the home holds another number of brokers, or if the storage cannot be formatted.
    """
    home = Home(settings.home)
    if settings.kafka_is_encrypted:
        tls.make_certificates(settings.kafka_tls_dir)
    _require_same_number(settings)
    _require_same_user(settings)
    cluster = _cluster_id(settings) or new_cluster_id()
    # The first broker comes last: once its storage is there, all of them are formatted.
    for node in reversed(settings.broker_nodes):
        folder = home.broker(node)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "server.properties").write_text(server_properties(settings, node))
        (folder / "java.args").write_text(java_arguments(settings))
        if not _is_formatted(settings, node):
            _format(settings, java, node, cluster)


def _is_formatted(settings: Settings, node: int) -> bool:
    return (Home(settings.home).broker(node) / "data" / "meta.properties").is_file()


def _require_same_number(settings: Settings) -> None:
    """A quorum's voters are fixed: brokers with empty logs could elect each other and forget every topic."""
    if not _is_formatted(settings, 1):
        return
    found = sum(_is_formatted(settings, node) for node in BROKER_PORTS)
    if found != settings.kafka_brokers:
        raise LocalStackError(
            f"{settings.home} holds the records of {found} broker{'s' if found > 1 else ''}, so KAFKA_BROKERS="
            f"{settings.kafka_brokers} cannot use it. Set KAFKA_BROKERS={found}, or choose another home: "
            "MUSIC_HOME=/another/folder music-platform up"
        )


def _require_same_user(settings: Settings) -> None:
    """With SCRAM the storage holds the user, from its first start on."""
    if not _is_formatted(settings, 1):
        return
    file = Home(settings.home).kafka / SCRAM_USER
    stored, wanted = file.read_text() if file.is_file() else None, scram_user(settings)
    if wanted is not None and not (stored and _matches(settings, stored)):
        raise LocalStackError(
            f"The local broker in {settings.home} was first started with another user, password or mechanism than "
            f"{wanted}. With SCRAM they are part of its storage. Set those again, or choose another home: "
            "MUSIC_HOME=/another/folder music-platform up"
        )


#: File beside the first broker's storage that says which user it has.
SCRAM_USER = "scram-user"


def scram_user(settings: Settings) -> str | None:
    """Mechanism and name of the user that the storage has to hold; None without SCRAM."""
    mechanism, user, _ = settings.kafka_credentials
    uses_scram = settings.kafka_protocol.startswith("SASL_") and str(mechanism).startswith("SCRAM-")
    return f"{mechanism} {user}" if uses_scram else None


def _matches(settings: Settings, stored: str) -> bool:
    user, _, rest = stored.rpartition(" ")
    salt, _, hashed = rest.partition(":")
    found = salted_password(settings, base64.b64decode(salt))
    return user == scram_user(settings) and hashed == hashlib.sha256(found).hexdigest()


def salted_password(settings: Settings, salt: bytes) -> bytes:
    """SCRAM's SaltedPassword (RFC 5802): what the storage's keys are made of. It is written nowhere."""
    mechanism, _, password = settings.kafka_credentials
    name = "sha512" if mechanism == "SCRAM-SHA-512" else "sha256"
    return hashlib.pbkdf2_hmac(name, (password or "").encode(), salt, SCRAM_ITERATIONS)


def _cluster_id(settings: Settings) -> str | None:
    """The cluster id of a broker that is formatted: a start that was killed half-way may have left some."""
    for node in settings.broker_nodes:
        if _is_formatted(settings, node):
            text = (Home(settings.home).broker(node) / "data" / "meta.properties").read_text()
            return dict(line.split("=", 1) for line in text.splitlines() if "=" in line).get("cluster.id")
    return None


def _format(settings: Settings, java: Java, node: int, cluster: str) -> None:
    folder = Home(settings.home).broker(node)
    # With --ignore-formatted, a format that was killed half-way can be repeated.
    arguments = ["--ignore-formatted", "--cluster-id", cluster, "--config", str(folder / "server.properties")]
    environment = {**os.environ, password_variable(settings): settings.kafka_credentials[2] or ""}
    with _argument_file(folder, [*arguments, *_scram_arguments(settings)]) as file:
        command = [str(java.executable), f"@{folder / 'java.args'}", f"@{file}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise LocalStackError(
            f"Kafka cannot format its storage in {folder / 'data'}: {(done.stderr or done.stdout).strip()[-800:]}"
        )


@contextmanager
def _argument_file(folder: Path, arguments: list[str]) -> Iterator[Path]:
    """The tool's command line in a file that only this user can read: everybody sees those of processes."""
    file = folder / "format.args"
    quoted = "\n".join(f"'{argument}'" for argument in ["kafka.tools.StorageTool", "format", *arguments])
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        written.write(quoted + "\n")
    try:
        yield file
    finally:
        file.unlink()


def _scram_arguments(settings: Settings) -> list[str]:
    """The user that the storage is to hold. All brokers of a home get the same; the file says which, by a hash."""
    named = scram_user(settings)
    if named is None:
        return []
    file = Home(settings.home).kafka / SCRAM_USER
    if not (file.is_file() and _matches(settings, file.read_text())):
        fresh = os.urandom(24)
        file.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256(salted_password(settings, fresh)).hexdigest()
        file.write_text(f"{named} {base64.b64encode(fresh).decode()}:{hashed}")
    salt = file.read_text().rpartition(" ")[2].partition(":")[0]
    salted = base64.b64encode(salted_password(settings, base64.b64decode(salt))).decode()
    mechanism, user, _ = settings.kafka_credentials
    value = f'[name={user},iterations={SCRAM_ITERATIONS},salt="{salt}",saltedpassword="{salted}"]'
    return ["--add-scram", f"{mechanism}={value}"]


def new_cluster_id() -> str:
    """A random cluster id in Kafka's form: 16 bytes in URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
