"""Sessions of Spark's server: queries that a killed client left running, and sessions that the server has ended."""

import time
import uuid
from pathlib import Path

import pytest

from music_platform.stack.local_stack import LocalStack
from music_spark.orphans import stop_orphans
from music_spark.session import SparkUnreachableError, open_session
from tests.support import slowdown


def test_an_orphan_is_found_by_the_user_in_the_address(stack: LocalStack, tmp_path: Path) -> None:
    url, token, session_id = str(stack.settings.spark_url), stack.settings.spark_token, str(uuid.uuid4())
    as_someone = f"{url}/;user_id=someone"
    session = open_session(as_someone, token, session_id)
    rate = session.readStream.format("rate").load()
    query = rate.writeStream.format("noop").option("checkpointLocation", str(tmp_path / "c")).start()
    said: list[str] = []
    stop_orphans(url, token, session_id, said.append)
    assert not said, "another user's session of this id"
    assert query.isActive
    stop_orphans(as_someone, token, session_id, said.append)
    assert [line for line in said if "which was left running" in line]


def test_a_process_whose_session_the_server_has_ended_gets_another_one(stack: LocalStack) -> None:
    """A server ends sessions of which nothing was asked for an hour."""
    url, token = str(stack.settings.spark_url), stack.settings.spark_token
    session = open_session(url, token)
    assert open_session(url, token) is session
    session.client.release_session()
    assert open_session(url, token).range(3).count() == 3


@pytest.mark.parametrize("parameters", ["", "/;use_ssl=true;user_id=me"])
def test_a_server_that_is_away_is_given_up_within_seconds(parameters: str) -> None:
    """Spark's client alone tries for ten minutes."""
    url, started = f"sc://127.0.0.1:1{parameters}", time.monotonic()
    with pytest.raises(SparkUnreachableError, match="does not answer"):
        stop_orphans(url, None, str(uuid.uuid4()), print)
    assert time.monotonic() - started < slowdown.seconds(20)
