"""Dagster's store as the other rooms see it: plain figures about runs, checks, freshness and daemons.

The stack, the watch and the command line use it, so that none of them imports Dagster. `create_store`,
`report_rebuilt` and `end_hanging` write; all else reads.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from music_platform.environment import variables_set
from music_platform.home import Home
from music_platform.orchestration.inputs import recorded_version, report_rebuilt
from music_platform.orchestration.keys import GOLD
from music_platform.orchestration.quality import (
    FailedCheck,
    UnevaluatedCheck,
    failed_checks,
    known_checks,
    unevaluated_checks,
)
from music_platform.orchestration.runs import Failures, end_hanging, failures_in_a_row, is_in_flight
from music_platform.orchestration.ticks import FailingTicks, failing_ticks
from music_platform.orchestration.topic_state import last_movement
from music_platform.settings import Settings


class Store:
    """The store of one Dagster instance. `check_keys` gives the asset checks to report on."""

    def __init__(
        self, instance: dg.DagsterInstance, check_keys: Callable[[], Sequence[dg.AssetCheckKey]] = list
    ) -> None:
        self._instance, self._check_keys = instance, check_keys

    def heartbeats(self) -> dict[str, float]:
        """Last heartbeat of each daemon that the instance needs, in epoch seconds; 0 if there was none."""
        return {
            name: status.last_heartbeat.timestamp if status.last_heartbeat else 0
            for name, status in self._instance.get_daemon_statuses().items()
            if status.required
        }

    def oldest_heartbeat(self) -> float | None:
        """The oldest of the daemons' last heartbeats, in epoch seconds; None if there was none."""
        return min((beat for beat in self.heartbeats().values() if beat), default=None)

    def failures_in_a_row(self, *jobs: str) -> Failures:
        """See `runs.failures_in_a_row`."""
        return failures_in_a_row(self._instance, *jobs)

    def is_in_flight(self, job: str) -> bool:
        """See `runs.is_in_flight`."""
        return is_in_flight(self._instance, job)

    def end_hanging(self, jobs: Collection[str], seconds: float, why: str) -> list[str]:
        """See `runs.end_hanging`."""
        return end_hanging(self._instance, jobs, seconds, why)

    def failed_checks(self) -> list[FailedCheck]:
        """See `quality.failed_checks`."""
        return failed_checks(self._instance, self._check_keys())

    def unevaluated_checks(self) -> list[UnevaluatedCheck]:
        """See `quality.unevaluated_checks`."""
        return unevaluated_checks(self._instance, self._check_keys())

    def failing_ticks(self) -> list[FailingTicks]:
        """See `ticks.failing_ticks`."""
        return failing_ticks(self._instance, time.time())

    def stale_marts(self) -> dict[str, float]:
        """Marts whose freshness policy fails, by name: since when, in epoch seconds."""
        keys = self._instance.get_asset_keys(prefix=[GOLD])
        return {
            key.path[-1]: record.updated_at.timestamp()
            for key, record in self._instance.get_freshness_state_records(keys).items()
            if record.freshness_state.value == "FAIL"
        }

    def recorded_version(self) -> int:
        """See `inputs.recorded_version`."""
        return recorded_version(self._instance)

    def report_rebuilt(self, version: int, rows: int) -> None:
        """See `inputs.report_rebuilt`."""
        report_rebuilt(self._instance, version, rows, time.time())

    def last_topic_movement(self) -> float | None:
        """See `topic_state.last_movement`."""
        return last_movement(self._instance)

    def step_seconds(self) -> dict[str, float]:
        """Seconds of each finished step of the latest run."""
        (run,) = self._instance.get_runs(limit=1)
        stats = self._instance.get_run_step_stats(run.run_id)
        return {s.step_key: s.end_time - s.start_time for s in stats if s.end_time and s.start_time}


@contextmanager
def open_store(settings: Settings, manifest: Path | None = None) -> Iterator[Store]:
    """The store of a home. With dbt's manifest it reports on dbt's tests too.

    dagster.yaml takes PostgreSQL's address from the environment; here it may come from `.env`.
    """
    postgres = {"DAGSTER_POSTGRES_URL": url} if (url := settings.dagster_postgres_url) else {}
    folder = Home(settings.home).dagster
    with variables_set(postgres), dg.DagsterInstance.from_config(str(folder)) as instance:
        yield Store(instance, lambda: known_checks(manifest) if manifest else [])


def create_store(folder: Path) -> None:
    """Create Dagster's SQLite files unless they exist.

    Each of Dagster's processes would do it. If two did it at once, one would fail with "table already exists".
    """
    with dg.DagsterInstance.from_config(str(folder)):
        pass
