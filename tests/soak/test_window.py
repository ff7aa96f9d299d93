"""The shortest freshness window, with the real daemon: idle is fresh, stale is one run, a restart doubles nothing."""

import json
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka import Producer

from music_platform.orchestration.assets.marts import tier_keys
from music_platform.orchestration.freshness import POLICY, TIERS, ages, warn_after
from music_platform.orchestration.keys import GOLD
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from music_platform.topics import topic_names
from tests.soak.test_soak import await_rest, doubled
from tests.support import slowdown
from tests.support.ingestion import listens
from tests.support.stack import settings_for

#: WARN at 60 s, the least that Dagster takes, and FAIL at 80 s; later on a slower machine.
WINDOW = int(slowdown.seconds(80))
#: Jobs that the records of this test start; checks and upkeep have clocks of their own.
JOBS = ("ingest", "live", "policy", "build")


def runs(instance: dg.DagsterInstance) -> Counter[str]:
    """How many runs there have been of each job."""
    return Counter(run.job_name for run in instance.get_runs() if run.job_name in JOBS)


def oldest(instance: dg.DagsterInstance) -> float:
    """Age of the oldest mart in seconds."""
    return max(age for tier in TIERS for age in ages(instance, tier_keys(tier, GOLD), time.time()).values())


def oldest_while_idle(instance: dg.DagsterInstance, seconds: float) -> float:
    """The most that the age of a mart came to in this time."""
    end, most = time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        most = max(most, oldest(instance))
        time.sleep(1)
    return most


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_window_of_a_minute_with_the_real_daemon(tmp_path: Path) -> None:
    windows = {f"{tier}_window_seconds": WINDOW for tier in TIERS}
    stack = LocalStack(settings_for(tmp_path / "home", freshness_interval_seconds=5, **windows))
    try:
        stack.up(provision=provision)
        with dg.DagsterInstance.from_config(str(stack.home.dagster)) as instance:
            await_rest(stack, instance, slowdown.seconds(300))
            before = runs(instance)
            assert oldest_while_idle(instance, 3 * WINDOW) < WINDOW, "idle is fresh"
            assert runs(instance) == before, "idle starts no run"

            producer = Producer(stack.settings.kafka_client_config())
            for event in listens(50):
                producer.produce(topic_names(stack.settings)["listen"], json.dumps(event))
            assert producer.flush(slowdown.seconds(30)) == 0
            time.sleep(slowdown.seconds(10))
            await_rest(stack, instance, slowdown.seconds(300))
            assert runs(instance) - before == Counter(ingest=1, live=1, policy=1), "new data is one run of each"
            (policy,) = instance.get_run_records(dg.RunsFilter(job_name=POLICY), limit=1)
            marts = instance.get_asset_records(list(tier_keys(POLICY, GOLD)))
            assert {m.asset_entry.last_materialization.run_id for m in marts} == {policy.dagster_run.run_id}  # type: ignore[union-attr]
            (rebuilt,) = instance.fetch_materializations(next(iter(tier_keys(POLICY, GOLD))), limit=2).records[1:]
            assert policy.create_timestamp.timestamp() - rebuilt.timestamp >= warn_after(stack.settings, POLICY)

            stack.kill("daemon")
            stack.await_ready({"daemon"})
            after = runs(instance)
            # The policy rebuild may have brought a mart past its window; from then on idle is fresh again.
            assert oldest_while_idle(instance, 2 * WINDOW) < WINDOW + slowdown.seconds(30), "a restarted daemon goes on"
            assert runs(instance) == after, "a restarted daemon starts nothing again"
            assert not doubled(instance)
            states = instance.get_freshness_state_records([key for tier in TIERS for key in tier_keys(tier, GOLD)])
            assert {record.freshness_state.value for record in states.values()} <= {"PASS", "WARN"}
    finally:
        stack.down()
