"""A warm dbt: repeated builds of the same models in this process, without a start-up before each.

A build with dbt's command line is mostly start-up: two processes, a parse, an adapter. Here the manifest is kept from
one build to the next. `dbtRunner` is dbt's own interface for this:
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

#: dbt's unit tests need no data and run with the project's tests. `dbt build` would add those of the selected models:
#: a fifth of the time of a live build, half of one of the policy marts.
NO_UNIT_TESTS = ("--exclude-resource-type", "unit_test")

_PARTIAL_PARSE = "partial_parse.msgpack"
#: Maximum number of failed nodes that an error names, and characters of the warehouse's message for each.
MAX_LISTED, MAX_LENGTH = 3, 300


class BuildFailedError(PlatformError):
    """dbt could not build every node."""


@dataclass(frozen=True)
class Build:
    """dbt's messages about the nodes that it finished, and what it could not build; None if it built everything."""

    messages: list[DbtCliEventMessage]
    complaint: str | None

    def require_success(self) -> None:
        """Raise BuildFailedError if a node was not built."""
        if self.complaint:
            raise BuildFailedError(self.complaint)


def name_flags_at_once() -> None:
    """Make dbt name the source of its behavior flags without a look at the stack.

    An adapter walks through the whole stack for each of a dozen flags that have no source, to write it into a warning.
    Above code that belongs to no file (`python -c`, `python -m`) that takes 0.4 s of each build, under pytest seconds.
    """
    from dbt_common.behavior_flags import BehaviorFlagRendered

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters")  # type: ignore[method-assign]


class WarmDbt:
    """Builds the nodes `select` (fully qualified names), any number of times."""

    def __init__(self, project: DbtProject, select: Sequence[str], target: Path) -> None:
        from dbt.cli.main import dbtRunner

        name_flags_at_once()
        self.target = target
        options = [
            "--project-dir", str(project.project_dir), "--profiles-dir", str(project.profiles_dir),
            "--target-path", str(target), "--log-path", str(target), "--log-level-file", "none", "--quiet",
            "--no-send-anonymous-usage-stats", "--no-version-check", "--cache-selected-only", "--no-write-json",
        ]  # fmt: skip
        self._select, self._options = select, ["--indirect-selection", "empty", *NO_UNIT_TESTS, *options]
        target.mkdir(parents=True, exist_ok=True)
        parsed = project.manifest_path.with_name(_PARTIAL_PARSE)
        if parsed.exists():
            shutil.copy(parsed, target / _PARTIAL_PARSE)
        manifest: Any = dbtRunner().invoke(["parse", *options]).result
        if manifest is None:
            raise BuildFailedError(f"dbt cannot parse {project.project_dir}. Run dbt parse there for details.")
        self._manifest: Manifest = manifest

    def build(self, also: Sequence[str] = ()) -> Build:
        """Build once; `also` names further nodes for this build only."""
        from dbt.cli.main import dbtRunner
        from google.protobuf.json_format import MessageToDict

        events: list[dict[str, Any]] = []
        runner = dbtRunner(
            manifest=self._manifest,
            callbacks=[lambda event: events.append(MessageToDict(event, preserving_proto_field_name=True))],
        )
        result = runner.invoke(["build", "--select", *self._select, *also, *self._options])
        messages = [DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={}) for raw in events]
        return Build(
            [message for message in messages if message.is_result_event],
            None if result.success else _complaint(result),
        )


def _complaint(result: Any) -> str:
    if result.exception is not None or result.result is None:
        return f"dbt could not build: {result.exception}"
    bad = [r for r in result.result.results if str(r.status) in ("error", "fail", "runtime error")]
    listed = "; ".join(f"{r.node.name}: {' '.join(str(r.message).split())[:MAX_LENGTH]}" for r in bad[:MAX_LISTED])
    return f"{len(bad)} of {len(result.result.results)} nodes failed: {listed}"
