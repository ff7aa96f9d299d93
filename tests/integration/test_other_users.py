"""What another user of this machine gets of a running platform: no file, no service."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pyspark.errors import PySparkException

from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import WarehouseUnreachableError, connect
from music_spark.session import open_session
from tests.support import slowdown
from tests.support.stack import running_stack, tiny_code_location

SERVICES = frozenset({"kafka", "spark", "warehouse", "code", "webserver", "dashboard"})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack whose home is in a folder that everybody may enter, started with an open umask."""
    parent = Path(tempfile.mkdtemp(prefix="music-", dir="/tmp"))
    parent.chmod(0o755)
    before = os.umask(0o022)
    try:
        with (
            tiny_code_location(tmp_path_factory.mktemp("project")),
            running_stack(parent / "home", only=SERVICES) as running,
        ):
            yield running
    finally:
        os.umask(before)
        shutil.rmtree(parent, ignore_errors=True)


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who owns nothing."""
    nobody = pwd.getpwnam("nobody")
    return subprocess.run(
        command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], cwd="/", capture_output=True, text=True,
        timeout=slowdown.seconds(60), check=False,
    )  # fmt: skip


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to act as another user")
def test_another_user_reads_no_file_of_the_home(stack: LocalStack) -> None:
    home = stack.home.root
    assert as_nobody("ls", str(home.parent)).returncode == 0, "the folder around it may be entered"
    for command in (
        ("find", str(home), "-type", "f", "-readable"),
        ("ls", str(home)),
        ("cat", str(home / "secret.env")),
        ("cat", str(home / "dagster" / "dagster.yaml")),
        ("test", "-e", str(stack.home.socket)),
    ):
        done = as_nobody(*command)
        assert done.stdout == "", command
        assert done.returncode != 0, command


def test_the_files_themselves_are_private_too(stack: LocalStack) -> None:
    """A home that is opened by mistake still shows nothing: services write with umask 077."""
    assert stat.S_IMODE(stack.home.root.stat().st_mode) == 0o700
    written = [path for name in ("kafka", "warehouse", "logs") for path in (stack.home.root / name).rglob("*")]
    files = [path for path in written if path.is_file()]
    assert len(files) > 10
    assert not [str(path) for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_the_broker_asks_for_the_secret(stack: LocalStack) -> None:
    address = stack.settings.bootstrap_servers
    for given in ({}, {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "music",
                       "sasl.password": "guess"}):  # fmt: skip
        client = AdminClient({"bootstrap.servers": address, "log_level": "0", **given})
        with pytest.raises(KafkaException):
            client.list_topics(timeout=slowdown.seconds(3))
    known = AdminClient({**stack.settings.kafka_client_config()})
    assert known.list_topics(timeout=slowdown.seconds(10)).brokers


@pytest.mark.parametrize("token", [None, "guess"])
def test_spark_runs_nothing_without_the_secret(stack: LocalStack, token: str | None) -> None:
    with pytest.raises(PySparkException):
        open_session(stack.settings.spark_url or "", token, "6f1b2a34-0000-4000-8000-000000000000").sql(
            "select 1"
        ).collect()


def test_the_warehouse_opens_no_session_without_the_secret(stack: LocalStack) -> None:
    with (
        pytest.raises(WarehouseUnreachableError, match="Incorrect username or password"),
        connect(stack.settings.model_copy(update={"music_secret": "guess"})),
    ):
        pass
    with connect(stack.settings) as session:
        assert session.cursor().execute("SELECT 1").fetchall() == [(1,)]  # type: ignore[union-attr]


@pytest.mark.parametrize("path", ["/", "/server_info", "/graphql", "/report_asset_materialization/one"])
def test_the_web_pages_answer_nothing_without_the_secret(stack: LocalStack, path: str) -> None:
    for header in ({}, {"Authorization": "Bearer guess"}, {"Cookie": "music-platform-3000=guess"}):
        request = urllib.request.Request(f"{stack.settings.dagster_url}{path}", headers=header)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=slowdown.seconds(10))


@pytest.mark.parametrize("path", ["/", "/charts", "/_stcore/health", "/_stcore/host-config", "/media/x.csv"])
def test_the_dashboard_answers_nothing_without_the_secret(stack: LocalStack, path: str) -> None:
    for header in (
        {},
        {"Authorization": "Bearer guess"},
        {"Cookie": f"music-platform-{stack.settings.dashboard_port}=x"},
    ):
        request = urllib.request.Request(f"{stack.settings.dashboard_url}{path}", headers=header)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request, timeout=slowdown.seconds(10))
