"""The local clusters: what brokers, master, workers and executors are told, and what an executor is found to lack."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from music_platform.environment import project_root
from music_platform.errors import LocalStackError
from music_platform.settings import Settings
from music_platform.stack import broker, executor_probe, executors, services, spark_cluster, spark_connect
from music_platform.stack.findings import Verdict
from music_platform.stack.java import Java
from music_spark.session import CREDENTIALS, REQUIRED_CONF, spark_conf

JAVA = Java(Path("/opt/java"), "17.0.1", 17)
SECRET = "the-secret-of-the-home"


def given(home: Path, **settings: object) -> Settings:
    return Settings(_env_file=None, music_home=home, music_secret=SECRET, **settings)  # type: ignore[arg-type]


def properties(settings: Settings, node: int) -> dict[str, str]:
    return dict(line.split("=", 1) for line in broker.server_properties(settings, node).splitlines())


def test_three_brokers_vote_for_each_other_and_keep_every_record_twice(tmp_path: Path) -> None:
    settings = given(tmp_path, kafka_brokers=3)
    told = {node: properties(settings, node) for node in (1, 2, 3)}
    assert {each["controller.quorum.voters"] for each in told.values()} == {
        "1@127.0.0.1:9093,2@127.0.0.1:9095,3@127.0.0.1:9097"
    }
    assert len({each["listeners"] for each in told.values()}) == len({each["log.dirs"] for each in told.values()}) == 3
    for each in told.values():
        assert each["default.replication.factor"] == each["offsets.topic.replication.factor"] == "3"
        assert each["min.insync.replicas"] == each["transaction.state.log.min.isr"] == "2"
        assert each["unclean.leader.election.enable"] == "false"
    assert settings.bootstrap_servers == "127.0.0.1:9092,127.0.0.1:9094,127.0.0.1:9096"
    assert settings.topic_replicas == 3


def test_replicas_share_the_size_that_the_brokers_may_take(tmp_path: Path) -> None:
    one, three = (broker.partition_bytes(given(tmp_path, kafka_brokers=n))[0] for n in (1, 3))
    assert three == pytest.approx(one / 3, rel=0.01)


@pytest.mark.parametrize(("replicas", "least"), [(1, 1), (2, 1), (3, 2)])
def test_a_topic_needs_all_replicas_but_one(replicas: int, least: int) -> None:
    assert broker.in_sync(replicas) == least


def test_two_brokers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="write 1 or 3"):
        given(tmp_path, kafka_brokers=2)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_a_home_keeps_its_number_of_brokers(tmp_path: Path, before: int, after: int) -> None:
    for node in range(1, before + 1):
        data = tmp_path / ("kafka" if node == 1 else f"kafka-{node}") / "data"
        data.mkdir(parents=True)
        (data / "meta.properties").write_text("cluster.id=abc\n")
    with pytest.raises(LocalStackError, match=f"holds the records of {before} broker"):
        broker.prepare(given(tmp_path, kafka_brokers=after), JAVA)


def test_only_a_cluster_has_members(tmp_path: Path) -> None:
    assert services.services_of(given(tmp_path)) == (
        "kafka", "spark", "warehouse", "code", "webserver", "daemon", "dashboard", "watch",
    )  # fmt: skip
    cluster = given(tmp_path, kafka_brokers=3, spark_master="standalone")
    assert services.services_of(cluster) == services.SERVICES
    assert services.select_services(cluster, {"kafka"}) == ("kafka", "kafka-2", "kafka-3")
    assert services.select_services(cluster, {"spark"}) == (
        "spark-master", "spark-worker-1", "spark-worker-2", "spark",
    )  # fmt: skip
    elsewhere = cluster.model_copy(update={"kafka_bootstrap_servers": "b:9092", "spark_remote": "sc://s:15002"})
    assert not {"kafka-2", "spark-master", "spark-worker-1"} & set(services.services_of(elsewhere))


def test_workers_get_a_clean_environment_and_no_secret_on_the_command_line(tmp_path: Path) -> None:
    settings = given(tmp_path, spark_master="standalone")
    for name in ("spark-master", *services.SPARK_WORKERS):
        (program,) = services.programs(settings, JAVA, (name,))
        assert program.isolated
        assert program.directory.is_relative_to(tmp_path)
        assert SECRET not in " ".join([*program.command, *map(str, program.environment.items())])
        assert not {name for name in program.environment if name.startswith(("PYTHON", "MUSIC_HOME", "KAFKA_"))}
    conf = spark_cluster.daemon_conf(settings)
    assert conf["spark.authenticate"] == "true"
    assert conf["spark.authenticate.secret"] == spark_connect.server_conf(settings)["spark.authenticate.secret"]
    assert SECRET not in "".join([*conf.values(), *spark_connect.server_conf(settings).values()])
    assert conf["spark.ui.filters"].endswith("JWSFilter")


def test_the_package_travels_and_the_checkout_is_not_on_the_path(tmp_path: Path) -> None:
    settings = given(tmp_path, spark_master="standalone")
    spark_connect.prepare(settings)
    conf = spark_connect.server_conf(settings)
    archive, _, name = conf["spark.archives"].partition("#")
    with zipfile.ZipFile(archive) as packed:
        names = set(packed.namelist())
    assert {"music_spark/job.py", "music_platform/contracts/events.py"} <= names
    assert "music_platform/contracts/shapes/playback.toml" in names
    assert not any("__pycache__" in each for each in names)
    path = conf["spark.executorEnv.PYTHONPATH"].split(":")
    assert path[0] == name
    checkout = Path(spark_cluster.__file__).parents[2]
    assert str(checkout) not in path
    assert str(checkout / "spark") not in path
    assert "spark.jars" not in conf


def test_a_change_of_the_code_is_another_archive(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "one.py").write_text("1\n")
    before = executor_probe.code_digest([str(package)])
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "one.pyc").write_text("compiled")
    assert executor_probe.code_digest([str(package)]) == before
    (package / "one.py").write_text("2\n")
    assert executor_probe.code_digest([str(package)]) != before


def test_executors_get_the_credentials_of_the_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CREDENTIALS, "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, f"value of {name}")
    conf = spark_connect.server_conf(given(tmp_path, spark_master="standalone"))
    assert conf["spark.executorEnv.AWS_SECRET_ACCESS_KEY"] == "value of AWS_SECRET_ACCESS_KEY"
    assert conf["spark.executorEnv.AWS_ENDPOINT_URL"] == "value of AWS_ENDPOINT_URL"
    assert "spark.executorEnv.AWS_SECRET_ACCESS_KEY" not in spark_connect.pod_conf(tmp_path), "a pod has an account"
    assert not any("executorEnv" in name for name in spark_connect.server_conf(given(tmp_path)))


def answer(**changes: object) -> dict[str, object]:
    return {
        "where": "one:/work/0", "python": "3.11.7", "versions": {"pyspark": "4.2.0", "pyarrow": "21.0.0"},
        "missing": [], "code": "abc", "error": None, **changes,
    }  # fmt: skip


WANT = executors.Wanted("3.11.9", {"pyspark": "4.2.0", "pyarrow": "21.0.0"}, "abc", executors=2)


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({}, []),
        ({"python": "3.12.1"}, ["Python 3.11.9 (it has 3.12.1)"]),
        ({"versions": {"pyspark": "4.2.0"}}, ["pyarrow 21.0.0"]),
        ({"versions": {"pyspark": "4.1.0", "pyarrow": "21.0.0"}}, ["pyspark 4.2.0 (it has 4.1.0)"]),
        ({"error": "No module named 'music_spark'"}, ["this project's packages (No module named 'music_spark')"]),
        ({"code": "other"}, ["this version of the project's packages (it has another)"]),
        ({"missing": ["/jars/delta.jar"]}, ["/jars/delta.jar"]),
    ],
)
def test_what_an_executor_lacks_is_named(changes: dict[str, object], lacks: list[str]) -> None:
    assert executors.lacks(answer(**changes), WANT) == lacks


def test_an_executor_that_does_not_answer_is_a_finding() -> None:
    first, second = executors.findings([answer()], WANT)
    assert first.verdict is Verdict.GOOD
    assert (second.verdict, second.found.split(" within")[0]) == (Verdict.BAD, "1 of 2 executors answered")


def test_the_probe_says_what_is_there(tmp_path: Path) -> None:
    import pyarrow as pa

    step = executor_probe.probe(("music_spark",), ("pyspark", "no-such-thing"), (str(tmp_path), "/no/such/file"))
    (batch,) = step(iter([pa.RecordBatch.from_pydict({"id": [1]})]))
    found = json.loads(batch.column(0)[0].as_py())
    assert found["where"].endswith(os.getcwd())
    assert found["versions"]["no-such-thing"] is None
    assert found["versions"]["pyspark"]
    assert found["missing"] == ["/no/such/file"]
    assert found["code"]
    lost = json.loads(next(executor_probe.probe(("no_such",), (), ())(iter([batch]))).column(0)[0].as_py())
    assert "no_such" in lost["error"]
    assert list(step(iter([]))) == []


RIGHT: dict[str, str | None] = {name: spark_conf()[name] for name in REQUIRED_CONF}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"spark.sql.session.timeZone": "Etc/UTC"}, []),
        ({"spark.sql.session.timeZone": None}, ["spark.sql.session.timeZone is not set, not UTC"]),
        ({"spark.sql.session.timeZone": "America/Los_Angeles"}, ["spark.sql.session.timeZone is America/Los_Angeles"]),
    ],
)
def test_a_server_that_would_write_other_rows_is_found(changes: dict[str, str | None], wrong: list[str]) -> None:
    found = list(executors.setting_findings(RIGHT | changes))
    bad = [finding for finding in found if finding.verdict is Verdict.BAD]
    assert len(found) == max(1, len(wrong))
    assert [text for text, finding in zip(wrong, bad, strict=True) if not finding.found.startswith(text)] == []


def test_the_settings_that_a_server_needs_are_documented() -> None:
    page = (project_root() / "docs/guide/production.md").read_text()
    assert [name for name in REQUIRED_CONF if f"| `{name}` | `{spark_conf()[name]}`" not in page] == []
