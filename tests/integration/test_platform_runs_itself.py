"""The platform runs unattended after `make up`: webserver, daemon and sensors of a separate stack, used like the UI."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from music_platform.environment import dagster_environment, venv_bin
from music_platform.ingestion.conservation import audit
from music_platform.orchestration.runs import PID_TAG
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.stack import kill_tree, settings_for
from tests.support.ui import DONE, Ui

LINEAGE = "{ assetNodes { assetKey { path } groupName dependencyKeys { path } } }"
SENSORS = """
{ sensorsOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "music_platform"}) {
    ... on Sensors { results { name sensorState { status } } } } }
"""


def music(stack: LocalStack, *arguments: str) -> str:
    done = subprocess.run(
        [str(venv_bin() / "music-platform"), *arguments],
        env={"PATH": str(venv_bin()) + ":/usr/bin:/bin", **dagster_environment(stack.settings)},
        capture_output=True,
        text=True,
        timeout=slowdown.seconds(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def processes_at_work(stack: LocalStack) -> list[int]:
    """The processes of the runs that have started; the UI does not show them."""
    with dg.DagsterInstance.from_config(str(stack.home.dagster)) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    return [int(run.tags[PID_TAG]) for run in runs if PID_TAG in run.tags]


def _errors(stack: LocalStack) -> str:
    logs = [stack.home.log_of(service).read_text(errors="replace") for service in ("code", "daemon")]
    lines = "\n".join(logs).splitlines()
    return "\n".join(line for line in lines if "ERROR" in line or "FAIL" in line)[-4000:]


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_events_arrive_in_the_marts_unattended(tmp_path: Path) -> None:
    stack = LocalStack(settings_for(tmp_path / "home"))
    try:
        stack.up(provision=provision)
        ui = Ui(stack.settings)

        nodes = {tuple(n["assetKey"]["path"]): n for n in ui.ask(LINEAGE)["assetNodes"]}
        above = {key: {tuple(d["path"]) for d in node["dependencyKeys"]} for key, node in nodes.items()}
        assert above["lake", "events"] == {key for key in nodes if key[0] == "kafka"}
        assert above["raw", "events"] == {("lake", "events")}
        assert ("raw", "events") in above["staging", "stg_events"]
        assert above["gold", "top_songs_daily"] & {key for key in nodes if key[0] == "silver"}

        def sensors() -> dict[str, str]:
            results = ui.ask(SENSORS)["sensorsOrError"]["results"]
            return {sensor["name"]: sensor["sensorState"]["status"] for sensor in results}

        assert sensors() == dict.fromkeys(
            ["lag_sensor", "reference_sensor", "live_sensor", "freshness_sensor", "quality_sensor"], "RUNNING"
        )

        music(stack, "simulate", "--seed", "3", "--users", "200", "--days", "3")
        launched = slowdown.wait_for(
            "a run of the lag sensor", lambda: [r for r in ui.runs() if r["jobName"] == "ingest"]
        )
        assert {"key": "dagster/sensor_name", "value": "lag_sensor"} in launched[0]["tags"]

        def behind() -> dict[str, int]:
            return {stage: found["records"] for stage, found in json.loads(music(stack, "lag", "--json")).items()}

        def arrived() -> bool:
            runs = ui.runs()
            at_rest = all(run["status"] in DONE for run in runs)
            return (
                at_rest
                and {"ingest", "reference", "build"} <= {run["jobName"] for run in runs}
                and not any(behind().values())
            )

        slowdown.wait_for("an empty backlog of all three stages, and no run at work", arrived, 300)
        assert {run["status"] for run in ui.runs()} == {"SUCCESS"}, _errors(stack)
        counts = (
            json.loads(music(stack, "sql", "--format", "json", "select sum(plays) p from GOLD.TOP_SONGS_DAILY")),
            json.loads(music(stack, "sql", "--format", "json", "select count(*) p from SILVER.LISTENS")),
        )
        assert counts[0] == counts[1]
        assert counts[0][0]["p"] > 0

        run_id = ui.launch("everything")
        status = slowdown.wait_for("the run that was started from the UI", lambda: ui.ended(run_id), 240)
        assert status == "SUCCESS"

        # The run, the code server that launched it and the daemon die at once.
        music(stack, "simulate", "--seed", "4", "--users", "200", "--days", "3")
        at_work = slowdown.wait_for("a run at work", lambda: processes_at_work(stack))
        stack.kill("daemon")
        kill_tree(stack, "code")
        with suppress(ProcessLookupError):
            os.kill(at_work[0], signal.SIGKILL)
        slowdown.wait_for("an empty backlog after the kill", lambda: not any(behind().values()), 240)
        with connect(stack.settings) as session:
            found = audit(session, stack.settings)
        assert (found.complaints, found.postponed) == ([], None)
    finally:
        stack.down()
