"""Dagster's run monitoring, as its daemon does it."""

from logging import getLogger

import dagster as dg
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration


def look_at_runs(instance: dg.DagsterInstance) -> None:
    """One iteration of the daemon."""
    with WorkspaceProcessContext(instance, WorkspaceFileTarget([])) as workspace:
        assert [error for error in execute_run_monitoring_iteration(workspace, getLogger()) if error] == []
