"""Asks each service whether it is ready. No probe sleeps; each answers within seconds.

A probe returns None if the service is ready, else what it still lacks.
"""

import json
import urllib.request
import uuid
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from music_platform.home import Home
from music_platform.settings import LOOPBACK, Settings
from music_platform.stack import spark_cluster
from music_platform.stack.listeners import addresses, listens
from music_platform.stack.services import (
    BROKERS,
    CODE,
    DAEMON,
    DASHBOARD,
    KAFKA,
    SPARK_CONNECT,
    SPARK_MASTER,
    SPARK_WORKERS,
    WAREHOUSE,
    WATCH,
    WEBSERVER,
)

#: From the settings and the epoch second of the service's start to what it lacks.
Probe = Callable[[Settings, int], str | None]

_TIMEOUT_SECONDS = 5


def lacks(service: str, settings: Settings, started: int = 0) -> str | None:
    """Why the service is not ready; None if it is."""
    try:
        return _PROBES[service](settings, started)
    except OSError as error:
        return str(error) or type(error).__name__
    except (HTTPException, ValueError, LookupError) as error:
        # Its port is open before its pages are complete.
        return f"it answers, but not as it will ({type(error).__name__})"


def _kafka(settings: Settings, _started: int, node: int | None = None) -> str | None:
    """The brokers answer, the cluster has a controller and, if `node` is given, that broker is part of it."""
    places = addresses(settings, KAFKA) if node is None else [(LOOPBACK, settings.broker_port(node))]
    if not listens(places):
        return "nothing accepts a connection"
    from confluent_kafka import KafkaException

    from music_platform.topics import BrokerRefusedError, Brokers

    brokers = Brokers(settings.kafka_client_config())
    try:
        cluster = brokers.result(brokers.admin.describe_cluster(request_timeout=_TIMEOUT_SECONDS))
    except BrokerRefusedError as error:
        return str(error)
    except KafkaException as error:
        return f"no answer: {error}"
    if not cluster.nodes or cluster.controller is None:
        return "no controller yet"
    if node is not None and node not in {each.id for each in cluster.nodes}:
        return "not part of the cluster yet"
    return None


def _broker(node: int) -> Probe:
    """The probe of a local broker; of the whole cluster where it is elsewhere."""
    return lambda settings, started: _kafka(settings, started, node if settings.kafka_is_local else None)


def _spark_master(settings: Settings, _started: int) -> str | None:
    """It listens for workers, and its web pages say that it is the one that acts."""
    if not listens([(LOOPBACK, settings.spark_master_port)]):
        return "nothing accepts a connection"
    status = _master_state(settings)["status"]
    return None if status == "ALIVE" else f"it is {str(status).lower()}"


def _spark_worker(number: int) -> Probe:
    """The master knows the worker, and it lives."""

    def probe(settings: Settings, _started: int) -> str | None:
        port = getattr(settings, spark_cluster.worker_port(number))
        known = {worker["port"] for worker in _master_state(settings)["workers"] if worker["state"] == "ALIVE"}
        return None if port in known else "not registered with the master"

    return probe


def _master_state(settings: Settings) -> Any:
    """What the master of the standalone cluster shows of its workers and applications."""
    url = f"http://{LOOPBACK}:{settings.spark_master_ui_port}/json/"
    return json.loads(_request(url, spark_cluster.ui_token(settings)))


def _spark(settings: Settings, _started: int) -> str | None:
    """The Connect server reports its Spark version."""
    if settings.spark_url is None:
        return None
    places = addresses(settings, SPARK_CONNECT)
    if not listens(places):
        return "nothing accepts a connection"
    import grpc

    ((host, port),) = places
    session = _string(1, str(uuid.uuid4())) + _message(2, _string(1, "music-platform"))
    target = f"{host}:{port}"
    needs_tls = "use_ssl=true" in settings.spark_url or settings.spark_token is not None
    encrypted = not settings.spark_is_local and needs_tls
    opened = grpc.secure_channel(target, grpc.ssl_channel_credentials()) if encrypted else grpc.insecure_channel(target)
    with opened as channel:
        try:
            _spark_call(channel, "AnalyzePlan", session + _message(10, b""), settings.spark_token)
            # Otherwise the server keeps the session for an hour.
            _spark_call(channel, "ReleaseSession", session, settings.spark_token)
        except grpc.RpcError as error:
            return f"no answer: {error.code().name}: {error.details()}"
    return None


def _spark_call(channel: object, method: str, request: bytes, token: str | None) -> bytes:
    """A call with hand-made protobuf: importing pyspark's generated classes takes seconds.

    Field numbers are those of spark/connect/base.proto of Spark 4.2.
    """
    call = channel.unary_unary(f"/spark.connect.SparkConnectService/{method}")  # type: ignore[attr-defined]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    # The first request makes the server's first session, which takes a while.
    return bytes(call(request, timeout=30, metadata=metadata))


def _message(field: int, content: bytes) -> bytes:
    """A protobuf field of wire type 2 (length-delimited). Contents here are shorter than 128 bytes."""
    return bytes([field << 3 | 2, len(content)]) + content


def _string(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _warehouse(settings: Settings, _started: int) -> str | None:
    _request(f"http://{LOOPBACK}:{settings.warehouse_port}/health")
    return None


def _code(settings: Settings, _started: int) -> str | None:
    """The code server answers, which it does once it has loaded the definitions."""
    import grpc

    with grpc.insecure_channel(f"unix:{Home(settings.home).code_socket}") as channel:
        ping = channel.unary_unary("/api.DagsterApi/Ping")
        try:
            # By hand, as importing Dagster takes seconds: api.PingRequest has one field, `echo`.
            ping(_string(1, "ready"), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"no answer: {error.code().name}"
    return None


def _webserver(settings: Settings, _started: int) -> str | None:
    if b"dagster_version" not in _request(f"{settings.dagster_url}/server_info", settings.music_secret):
        return "something other than Dagster's webserver answers on the port"
    return None


def _dashboard(settings: Settings, _started: int) -> str | None:
    if _request(f"{settings.dashboard_url}/_stcore/health", settings.music_secret) != b"ok":
        return "something other than the dashboard answers on the port"
    return None


def _daemon(settings: Settings, started: int) -> str | None:
    """Every daemon that the instance needs has sent a heartbeat since the service started."""
    try:
        heartbeats = _heartbeats_by_webserver(settings)
    except OSError:
        heartbeats = _heartbeats_by_instance(settings)
    silent = sorted(name for name, heartbeat in heartbeats.items() if heartbeat < started)
    return f"no heartbeat yet from {', '.join(silent).lower()}" if silent else None


def _watch(settings: Settings, started: int) -> str | None:
    """It has finished a look since the service started."""
    looked = Home(settings.home).looked
    return None if looked.is_file() and looked.stat().st_mtime >= started else "it has not looked yet"


def code_location_errors(settings: Settings) -> dict[str, str]:
    """Code locations that do not load, with the reason, according to the webserver; empty if all load."""
    query = (
        "{workspaceOrError{... on Workspace{locationEntries"
        "{name locationOrLoadError{... on PythonError{message}}}}... on PythonError{message}}}"
    )
    workspace = _graphql(settings, query)["workspaceOrError"]
    if "message" in workspace:
        return {"workspace": workspace["message"].strip()}
    entries = {entry["name"]: entry["locationOrLoadError"] or {} for entry in workspace["locationEntries"]}
    return {name: entry["message"].strip() for name, entry in entries.items() if "message" in entry}


def _heartbeats_by_webserver(settings: Settings) -> dict[str, float]:
    """Epoch second of the last heartbeat of each required daemon; 0 if there is none."""
    query = "{instance{daemonHealth{allDaemonStatuses{daemonType required lastHeartbeatTime}}}}"
    rows = _graphql(settings, query)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return {row["daemonType"]: row["lastHeartbeatTime"] or 0 for row in rows if row["required"]}


def _heartbeats_by_instance(settings: Settings) -> dict[str, float]:
    """The same from Dagster's store, if no webserver runs. Slower: importing Dagster takes seconds."""
    from music_platform.orchestration.store import open_store

    with open_store(settings) as store:
        return store.heartbeats()


def _graphql(settings: Settings, query: str) -> Any:
    body = json.dumps({"query": query}).encode()
    answer = json.loads(_request(f"{settings.dagster_url}/graphql", settings.music_secret, body))
    return answer["data"]


def _request(url: str, secret: str | None = None, body: bytes | None = None) -> bytes:
    # Loopback needs no proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
    request = urllib.request.Request(url, data=body, headers=headers)
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
        return bytes(response.read())


_PROBES: dict[str, Probe] = {
    **{name: _broker(node) for name, node in BROKERS.items()},
    SPARK_MASTER: _spark_master,
    **{name: _spark_worker(number) for name, number in SPARK_WORKERS.items()},
    SPARK_CONNECT: _spark,
    WAREHOUSE: _warehouse,
    CODE: _code,
    WEBSERVER: _webserver,
    DAEMON: _daemon,
    DASHBOARD: _dashboard,
    WATCH: _watch,
}
