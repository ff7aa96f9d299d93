"""A sensor that fails at every tick is seen, and one that failed once is not."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from music_platform.monitoring.alerts import Outage
from music_platform.monitoring.sources import Looker
from music_platform.orchestration.store import Store
from music_platform.orchestration.ticks import SENSOR_SECONDS, FailingTicks, failing_ticks
from music_platform.settings import Settings
from music_platform.stack.services import CODE, KAFKA

NOW = 1_800_000_000.0
LOCATION = GrpcServerCodeLocationOrigin(host="localhost", socket="/s", location_name="here")
CAUSE = SerializableErrorInfo("S3: access denied\n  details\n", [], "OSError")
ERROR = SerializableErrorInfo("Error occurred during the execution of lag_sensor\n", [], "SensorExecutionError", CAUSE)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def add(instance: dg.DagsterInstance, name: str, kind: InstigatorType, statuses: str, last: float = NOW) -> None:
    """A sensor or schedule with ticks five seconds apart: F failed, S skipped, R is running."""
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(LOCATION, "__repository__"), name)
    data = ScheduleInstigatorData("0 3 * * *", NOW) if kind is InstigatorType.SCHEDULE else None
    state = InstigatorState(origin, kind, InstigatorStatus.DECLARED_IN_CODE, data)
    instance.add_instigator_state(state)
    meaning = {"F": TickStatus.FAILURE, "S": TickStatus.SKIPPED, "R": TickStatus.STARTED}
    for number, letter in enumerate(statuses):
        status, at = meaning[letter], last - 5.0 * (len(statuses) - 1 - number)
        error = ERROR if status is TickStatus.FAILURE else None
        instance.create_tick(
            TickData(
                instigator_origin_id=state.instigator_origin_id,
                instigator_name=name,
                instigator_type=kind,
                status=status,
                timestamp=at,
                selector_id=state.selector_id,
                error=error,
            )
        )


def test_ticks_that_fail_in_a_row_are_seen_with_their_cause(instance: dg.DagsterInstance) -> None:
    sensor, schedule = InstigatorType.SENSOR, InstigatorType.SCHEDULE
    add(instance, "lag_sensor", sensor, "SFFFR")
    add(instance, "live_sensor", sensor, "FFS")
    add(instance, "young_sensor", sensor, "SFF")
    add(instance, "former_sensor", sensor, "FFF", last=NOW - SENSOR_SECONDS - 1)
    add(instance, "nightly_schedule", schedule, "F", last=NOW - 40_000)
    add(instance, "pruning_schedule", schedule, "FS")
    assert failing_ticks(instance, NOW) == [
        FailingTicks("lag_sensor", NOW - 15, NOW - 5, "S3: access denied"),
        FailingTicks("nightly_schedule", NOW - 40_000, NOW - 40_000, "S3: access denied"),
    ]


def test_ticks_that_fail_while_the_code_server_is_down_are_that_outage(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(instance, "lag_sensor", InstigatorType.SENSOR, "FFF")
    monkeypatch.setattr("music_platform.orchestration.store.time.time", lambda: NOW)
    looker = Looker(Settings(_env_file=None, music_home=tmp_path), lambda: Store(instance))
    (problem,) = looker.ticks(NOW)
    assert "S3: access denied" in problem.how_bad
    for service, reported in ((CODE, 0), (KAFKA, 1)):
        looker.outages = (Outage(service, NOW - 30, NOW - 5),)
        assert len(list(looker.ticks(NOW))) == reported
