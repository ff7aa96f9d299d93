"""What services are asked, and what is made of answers of one that is still starting."""

import socketserver
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from music_platform.settings import Settings
from music_platform.stack import readiness
from music_platform.stack.services import CODE, SPARK_MASTER, SPARK_WORKERS, WAREHOUSE, WEBSERVER


def test_the_request_is_spark_s_own() -> None:
    """The hand-made request to Spark Connect is what Spark's own generated classes would send."""
    from pyspark.sql.connect.proto import base_pb2

    session, user = str(uuid.uuid4()), "music-platform"
    context = base_pb2.UserContext(user_id=user)
    version = base_pb2.AnalyzePlanRequest.SparkVersion()
    analyze = base_pb2.AnalyzePlanRequest(session_id=session, user_context=context, spark_version=version)
    release = base_pb2.ReleaseSessionRequest(session_id=session, user_context=context)

    head = readiness._string(1, session) + readiness._message(2, readiness._string(1, user))
    assert base_pb2.AnalyzePlanRequest.FromString(head + readiness._message(10, b"")) == analyze
    assert base_pb2.ReleaseSessionRequest.FromString(head) == release


@contextmanager
def answering(raw: bytes) -> Iterator[int]:
    """A port at which every request gets these bytes; yields its number."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(raw)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not HTTP",
        HEAD + b"\r\n",
        HEAD + b"\r\n<html>starting</html>",
        HEAD + b"\r\n{}",
        HEAD + b"Content-Length: 1000\r\n\r\n{",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
    ],
    ids=["nothing", "no HTTP", "no body", "a page", "no field", "half a body", "503"],
)
@pytest.mark.parametrize("service", [SPARK_MASTER, *SPARK_WORKERS, WEBSERVER])
def test_an_answer_that_is_not_complete_yet_is_waited_for(service: str, raw: bytes) -> None:
    """`up` failed at the first page of a master whose pages were not there yet."""
    with answering(raw) as port:
        ports = {"spark_master_port": port, "spark_master_ui_port": port, "dagster_port": port}
        settings = Settings(_env_file=None, music_secret="x" * 32, **ports)  # type: ignore[call-arg, arg-type]
        assert readiness.lacks(service, settings), "it lacks something, and that is no error"


@pytest.mark.parametrize("service", [SPARK_MASTER, *SPARK_WORKERS, WEBSERVER, WAREHOUSE, CODE])
def test_a_service_that_is_not_there_lacks_something(service: str) -> None:
    ports = dict.fromkeys(("spark_master_port", "spark_master_ui_port", "dagster_port", "warehouse_port"), 1)
    settings = Settings(_env_file=None, music_secret="x" * 32, **ports)  # type: ignore[call-arg, arg-type]
    assert readiness.lacks(service, settings)
