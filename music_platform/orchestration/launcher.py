"""The run launcher: Dagster's default one, which also answers whether a run's process is still there.

Dagster's daemon asks about each run that has started, and fails those whose process is gone. Without an answer a run
whose process was killed along with its code server, or that was started from a command line, would stay STARTED
forever and keep every later run waiting.
"""

from typing import Any

import dagster as dg

from music_platform.orchestration._dagster import CheckRunHealthResult, WorkerStatus
from music_platform.orchestration.runs import GONE_TAG, PID_TAG, process_is_gone


class HealthCheckedLauncher(dg.DefaultRunLauncher):
    """Launches runs by their code server, and looks after their processes."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether the daemon may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> Any:
        """FAILED if the run's process was on this host and is gone. The run is then tagged: its work did not fail."""
        if not process_is_gone(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        # Its last words may have come after Dagster read its state.
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        self._instance.add_run_tags(run.run_id, {GONE_TAG: "true"})
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"Its process {run.tags[PID_TAG]} is gone: it was killed, or the machine died.",
        )
