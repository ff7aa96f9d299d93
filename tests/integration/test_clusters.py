"""Three brokers and a standalone Spark under the same stack: the data goes through, and a member of each may die."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from music_platform.environment import project_root
from music_platform.stack import executors, services
from music_platform.stack.doctor import examine
from music_platform.stack.findings import Verdict
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from music_platform.topics import topic_names
from tests.support import harness, slowdown
from tests.support.stack import DATA_SERVICES, running_stack


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    home = tmp_path_factory.mktemp("cluster")
    with running_stack(home, kafka_brokers=3, spark_master="standalone", max_drain_seconds=1) as stack:
        provision(stack.settings)
        yield stack


def test_status_and_doctor_know_every_member(cluster: LocalStack) -> None:
    states = {name: service.state for name, service in cluster.status().items()}
    members = {*services.BROKERS, services.SPARK_MASTER, *services.SPARK_WORKERS, *DATA_SERVICES}
    assert {name for name, state in states.items() if state == "running"} == members
    found = [finding for finding in examine(cluster) if finding.what in members | {"executor"}]
    assert [finding for finding in found if finding.verdict is not Verdict.GOOD] == []
    assert sum(finding.what == "executor" for finding in found) == 2


def test_topics_have_three_replicas_of_which_two_must_have_a_record(cluster: LocalStack) -> None:
    admin = AdminClient({**cluster.settings.kafka_client_config()})
    names = set(topic_names(cluster.settings).values())
    described = admin.list_topics(timeout=slowdown.seconds(10)).topics
    for name in names:
        assert {len(partition.replicas) for partition in described[name].partitions.values()} == {3}
    asked = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name) for name in names])
    for future in asked.values():
        config = future.result(timeout=slowdown.seconds(10))
        assert config["min.insync.replicas"].value == "2"
        assert config["unclean.leader.election.enable"].value == "false"


def test_executors_have_a_clean_environment_and_the_package_by_archive(cluster: LocalStack) -> None:
    answers = executors.ask(cluster.settings, executors.wanted(cluster.settings))
    assert len(answers) == 2
    checkout = project_root()
    for answer in answers:
        assert not any(name.startswith(("MUSIC_HOME", "KAFKA_", "SNOWFLAKE_")) for name in answer["variables"])
        assert not any(Path(entry) in (checkout, checkout / "spark") for entry in answer["path"])
        assert all(Path(folder).is_relative_to(cluster.home.spark_cluster) for folder in answer["folders"])


def test_an_executor_without_the_package_is_named(cluster: LocalStack) -> None:
    want = executors.wanted(cluster.settings)
    changed = executors.Wanted(want.python, {**want.versions, "no-such-package": "1.0"}, "another", want.executors)
    found = list(executors.findings(executors.ask(cluster.settings, want), changed))
    assert {finding.verdict for finding in found} == {Verdict.BAD}
    assert all("no-such-package 1.0" in finding.found and "another" in finding.found for finding in found)


@pytest.mark.timeout(900)
def test_a_broker_a_worker_and_the_master_die_and_every_record_is_one_row(cluster: LocalStack) -> None:
    with harness.stream(cluster):
        harness.await_backlog(cluster)
        assert harness.drain(cluster)
        for victim in ("kafka-2", "spark-worker-1", services.SPARK_MASTER):
            run = harness.start(cluster)
            cluster.kill(victim)
            harness.finish(run)
            cluster.await_ready({victim})
            harness.await_backlog(cluster)
            assert harness.drain(cluster)
    while harness.drain(cluster) and harness.backlog(cluster):
        pass
    assert harness.check_conservation(cluster) > 0
