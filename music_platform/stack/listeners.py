"""Whether something listens where the broker, Spark or the warehouse should be, and the one sentence for where not.

A command looks here first: the services' own clients retry for long, and then report only that their time is up.
Whether a service that listens can do its work is asked in `readiness.py`.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from urllib.parse import urlsplit

from music_platform.errors import PlatformError
from music_platform.settings import LOOPBACK, Settings
from music_platform.stack.services import KAFKA, SPARK_CONNECT, WAREHOUSE

#: Seconds within which something has to accept a connection.
CONNECT_SECONDS = 2.5
#: Ports of addresses that name none.
_KAFKA_PORT, _SPARK_PORT = 9092, 15002


class AwayError(PlatformError):
    """Nothing listens where a service should be."""


def require_listeners(settings: Settings, *services: str) -> None:
    """Raise AwayError, within 3 s, unless something listens where each of these services should be."""
    for service in services:
        places = addresses(settings, service)
        if places and not listens(places):
            raise AwayError(_away(settings, service))


def addresses(settings: Settings, service: str) -> list[tuple[str, int]]:
    """Host and port of each place where the service may answer.

    Empty where there is nothing to look for: Spark in a run's own process, and Snowflake, which may be behind a proxy.
    """
    if service == KAFKA:
        # librdkafka takes protocol://host:port, and also an address without a port.
        each = (address.strip().rpartition("://")[2] for address in settings.bootstrap_servers.split(","))
        parts = [urlsplit(f"//{address}") for address in each]
        return [(part.hostname, part.port or _KAFKA_PORT) for part in parts if part.hostname]
    if service == SPARK_CONNECT and settings.spark_url is not None:
        spark = urlsplit(settings.spark_url)
        return [(spark.hostname or LOOPBACK, spark.port or _SPARK_PORT)]
    if service == WAREHOUSE and settings.warehouse_is_local:
        return [(LOOPBACK, settings.warehouse_port)]
    return []


def listens(places: Iterable[tuple[str, int]], seconds: float = CONNECT_SECONDS) -> bool:
    """Whether one of the places accepts a connection. All are tried at once; a slow resolver counts as no answer."""
    answers: SimpleQueue[bool] = SimpleQueue()

    def knock(place: tuple[str, int]) -> None:
        try:
            socket.create_connection(place, timeout=seconds).close()
        except OSError:
            answers.put(False)
        else:
            answers.put(True)

    threads = [Thread(target=knock, args=(place,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    deadline = monotonic() + seconds
    with suppress(Empty):
        for _ in threads:
            if answers.get(timeout=max(0.0, deadline - monotonic())):
                return True
    return False


def _away(settings: Settings, service: str) -> str:
    # Imported here: the brokers' client takes a while, which only an error needs.
    if service == KAFKA:
        from music_platform.topics import away as kafka_away

        return kafka_away(settings.bootstrap_servers)
    if service == WAREHOUSE:
        from music_platform.warehouse.connection import away as warehouse_away

        return warehouse_away(settings)
    from music_spark.session import away as spark_away

    return spark_away(settings.spark_url)
