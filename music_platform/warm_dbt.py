"""dbt kept warm: builds of the same models one after another in this process, without the start-ups between them.

A build by dbt's command line is mostly start-up: two processes, a parse, an adapter. Here the manifest stays from one
build to the next. `dbtRunner` is dbt's own interface for this:
https://docs.getdbt.com/reference/programmatic-invocations
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_dbt import DbtCliEventMessage, DbtProject
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from music_platform.errors import PlatformError

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

_PARTIAL_PARSE = "partial_parse.msgpack"
#: Failed nodes that an error names, and characters of what the warehouse said to each.
SHOWN, LENGTH = 3, 300


class BuildFailedError(PlatformError):
    """dbt could not build every node."""


class WarmDbt:
    """Builds the nodes `select` (fully qualified names), as often as wanted."""

    def __init__(self, project: DbtProject, select: Sequence[str], target: Path) -> None:
        from dbt.cli.main import dbtRunner

        self.target = target
        options = [
            "--project-dir", str(project.project_dir), "--profiles-dir", str(project.profiles_dir),
            "--target-path", str(target), "--log-path", str(target), "--log-level-file", "none", "--quiet",
            "--no-send-anonymous-usage-stats", "--no-version-check",
        ]  # fmt: skip
        self._arguments = ["build", "--select", *select, "--indirect-selection", "empty", *options]
        target.mkdir(parents=True, exist_ok=True)
        parsed = project.project_dir / "target" / _PARTIAL_PARSE
        if parsed.exists():
            shutil.copy(parsed, target / _PARTIAL_PARSE)
        manifest: Any = dbtRunner().invoke(["parse", *options]).result
        if manifest is None:
            raise BuildFailedError(f"dbt does not understand {project.project_dir}: run dbt parse there")
        self._manifest: Manifest = manifest

    def build(self) -> Iterator[DbtCliEventMessage]:
        """Build once; yields what dbt said about each node that it finished. Raises BuildFailedError after them."""
        from dbt.cli.main import dbtRunner
        from google.protobuf.json_format import MessageToDict

        said: list[dict[str, Any]] = []
        runner = dbtRunner(
            manifest=self._manifest,
            callbacks=[lambda event: said.append(MessageToDict(event, preserving_proto_field_name=True))],
        )
        result = runner.invoke(self._arguments)
        for raw in said:
            message = DbtCoreCliEventMessage(raw_event=raw, event_history_metadata={})
            if message.is_result_event:
                yield message
        if not result.success:
            raise BuildFailedError(_complaint(result))


def _complaint(result: Any) -> str:
    if result.exception is not None or result.result is None:
        return f"dbt could not build: {result.exception}"
    bad = [r for r in result.result.results if str(r.status) in ("error", "fail", "runtime error")]
    said = "; ".join(f"{r.node.name}: {' '.join(str(r.message).split())[:LENGTH]}" for r in bad[:SHOWN])
    return f"{len(bad)} of {len(result.result.results)} nodes failed: {said}"
