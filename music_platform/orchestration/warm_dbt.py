"""dbt kept warm: builds of the same models one after another in this process, without the start-ups between them.

A build by dbt's command line is mostly start-up: two processes, a parse, an adapter. Here the manifest stays from one
build to the next. `dbtRunner` is dbt's own interface for this:
https://docs.getdbt.com/reference/programmatic-invocations
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_dbt import DbtCliEventMessage, DbtProject
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from music_platform.errors import PlatformError

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

#: dbt's unit tests need no data: they run with the tests of the project. `dbt build` adds those of the models that are
#: selected, so it has to be told with every build: they were a fifth of a live build, half of one of the policy marts.
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")

_PARTIAL_PARSE = "partial_parse.msgpack"
#: Failed nodes that an error names, and characters of what the warehouse said to each.
SHOWN, LENGTH = 3, 300


class BuildFailedError(PlatformError):
    """dbt could not build every node."""


@dataclass(frozen=True)
class Build:
    """What dbt said about each node that it finished, and what it could not build; None where it built everything."""

    messages: list[DbtCliEventMessage]
    complaint: str | None

    def require_success(self) -> None:
        """Raise BuildFailedError if a node was not built."""
        if self.complaint:
            raise BuildFailedError(self.complaint)


class WarmDbt:
    """Builds the nodes `select` (fully qualified names), as often as wanted."""

    def __init__(self, project: DbtProject, select: Sequence[str], target: Path) -> None:
        from dbt.cli.main import dbtRunner

        self.target = target
        options = [
            "--project-dir", str(project.project_dir), "--profiles-dir", str(project.profiles_dir),
            "--target-path", str(target), "--log-path", str(target), "--log-level-file", "none", "--quiet",
            "--no-send-anonymous-usage-stats", "--no-version-check", "--cache-selected-only",
        ]  # fmt: skip
        self._arguments = ["build", "--select", *select, "--indirect-selection", "empty", *NO_UNIT_TESTS, *options]
        target.mkdir(parents=True, exist_ok=True)
        parsed = project.manifest_path.with_name(_PARTIAL_PARSE)
        if parsed.exists():
            shutil.copy(parsed, target / _PARTIAL_PARSE)
        manifest: Any = dbtRunner().invoke(["parse", *options]).result
        if manifest is None:
            raise BuildFailedError(f"dbt does not understand {project.project_dir}: run dbt parse there")
        self._manifest: Manifest = manifest

    def build(self) -> Build:
        """Build once."""
        from dbt.cli.main import dbtRunner
        from google.protobuf.json_format import MessageToDict

        said: list[dict[str, Any]] = []
        runner = dbtRunner(
            manifest=self._manifest,
            callbacks=[lambda event: said.append(MessageToDict(event, preserving_proto_field_name=True))],
        )
        result = runner.invoke(self._arguments)
        messages = [DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={}) for raw in said]
        return Build(
            [message for message in messages if message.is_result_event],
            None if result.success else _complaint(result),
        )


def _complaint(result: Any) -> str:
    if result.exception is not None or result.result is None:
        return f"dbt could not build: {result.exception}"
    bad = [r for r in result.result.results if str(r.status) in ("error", "fail", "runtime error")]
    said = "; ".join(f"{r.node.name}: {' '.join(str(r.message).split())[:LENGTH]}" for r in bad[:SHOWN])
    return f"{len(bad)} of {len(result.result.results)} nodes failed: {said}"
