"""Left alone under load while services die: conservation, truth, freshness, run counts and alerts hold."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from music_platform.environment import settings_environment, venv_bin
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.paths import events_path
from music_platform.orchestration.keys import LAKE_EVENTS, RAW_EVENTS
from music_platform.orchestration.runs import GONE_TAG
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.topics import topic_names, topic_offsets
from music_platform.warehouse.connection import connect
from music_simulator.options import users_for
from tests.soak.disturbances import ALL, KILLS, STEP, Clock, Disturbance, Scene
from tests.support import slowdown
from tests.support.receiver import Received, receiving
from tests.support.stack import settings_for
from tests.support.timeline import Outage, Timeline, complete, sampling, stale
from tests.support.truth import KEYS, STATEMENTS, differences, load_truth

#: Seconds that the first build of all models takes on the reference machine, of nothing, in this stack.
FIRST_BUILD = 25.0
DISTURBANCES = (
    "--duplicates", ".02", "--late", ".02", "--out-of-order", ".02", "--malformed", ".002", "--invalid", ".002",
    "--unknown-fields", ".01", "--v2", ".3",
)  # fmt: skip


def recovery() -> float:
    """Seconds after an outage within which everything has to be as if nothing had been."""
    return slowdown.seconds(120)


#: Marts that follow the records' own times. Here those are of today, and the simulated events of another year: no
#: edition was published and no statement closed before its streams arrived. `marts/test_truth` compares them.
BY_RECORD = {"charts_weekly", "royalty_shares_monthly"}


@dataclass(frozen=True)
class Load:
    """How many records a second, for how long, and by how many users over how many simulated days."""

    rate: int
    minutes: float

    def options(self) -> list[str]:
        """The simulator's options: a population that has enough to send, also while outages take longer."""
        days = 30 if self.minutes > 30 else 10
        users = users_for(self.rate * slowdown.seconds(self.minutes * 60), days)
        return ["--rate", str(self.rate), "--users", str(users), "--days", str(days), "--start", "2026-06-01"]


@contextmanager
def stream(stack: LocalStack, load: Load, truth: Path) -> Iterator[None]:
    """The simulator at work until the block ends; then it writes what the marts must contain."""
    command = [str(venv_bin() / "music-platform"), "simulate", "--seed", "21", "--truth", str(truth)]
    log = (stack.home.root / "simulator.log").open("ab")
    environment = {**os.environ, **settings_environment(stack.settings, secrets=True)}
    process = subprocess.Popen([*command, *load.options(), *DISTURBANCES], env=environment, stdout=log, stderr=log)
    try:
        yield
        assert process.poll() is None, f"the simulator ended too early: see {log.name}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(slowdown.seconds(900))
        log.close()


def soak(
    home: Path,
    load: Load,
    disturbances: Sequence[Disturbance],
    echo: Any,
    clock: Clock | None = None,
    **settings: object,
) -> None:
    timeline = Timeline(echo=echo)
    with receiving() as received:
        scene = Scene(LocalStack(settings_for(home, alert_urls=received.url, **settings)), timeline, received, clock)
        try:
            scene.up()
            timeline.say(f"up; {load.rate:,} records a second for {load.minutes:g} minutes")
            with dg.DagsterInstance.from_config(str(scene.stack.home.dagster)) as instance:
                live_through(scene, instance, load, disturbances, home / "truth.json")
                await_all_clears(received, disturbances)
                report(timeline, received, instance)
                compare(scene, home / "truth.json")
                check(scene, instance, disturbances)
        finally:
            scene.stack.down()


def live_through(
    scene: Scene, instance: dg.DagsterInstance, load: Load, disturbances: Sequence[Disturbance], truth: Path
) -> None:
    """Stream and disturb; then wait until the platform says that everything is in every mart."""
    timeline = scene.timeline
    with sampling(scene.stack, instance, timeline, 5.0):
        started = time.monotonic()
        await_rest(scene.stack, instance, slowdown.seconds(300))
        slowdown.learn(time.monotonic() - started, FIRST_BUILD)
        timeline.say("every model is built, of nothing yet; the stream begins")
        timeline.say(f"slowdown {slowdown.factor():.2f}: all limits are multiplied by it")
        begin = time.time()
        with stream(scene.stack, load, truth):
            for number, disturbance in enumerate(disturbances, 1):
                time.sleep(max(0.0, begin + number * load.minutes * 60 / (len(disturbances) + 1) - time.time()))
                began = time.time()
                disturbance.happen(scene)
                if "code" in disturbance.alerts:
                    timeline.say(f"next batch {await_batch(instance, began):.0f} s after the kill")
            time.sleep(max(0.0, begin + load.minutes * 60 - time.time()))
        timeline.say("the stream has ended")
        await_rest(scene.stack, instance, scene.stack.settings.policy_window_seconds + slowdown.seconds(600))
        timeline.say("everything is in every mart")


def await_rest(stack: LocalStack, instance: dg.DagsterInstance, seconds: float) -> None:
    """Wait until nothing is behind and no run is at work."""
    deadline = time.monotonic() + seconds
    while not complete(stack.settings, instance):
        assert time.monotonic() < deadline, "the platform does not come to rest"
        time.sleep(1)


def await_batch(instance: dg.DagsterInstance, after: float) -> float:
    """Wait for the first batch after a moment; the seconds that it took."""
    deadline = time.time() + recovery()
    while True:
        found = [instance.get_latest_materialization_event(key) for key in (LAKE_EVENTS, RAW_EVENTS)]
        if times := [event.timestamp for event in found if event and event.timestamp > after]:
            return min(times) - after
        assert time.time() < deadline, f"no batch within {recovery():.0f} s after everything answered again"
        time.sleep(0.5)


def reported(disturbances: Sequence[Disturbance]) -> Counter[str]:
    """Services that have to be reported, and how often."""
    return Counter(service for disturbance in disturbances for service in disturbance.alerts)


def await_all_clears(received: Received, disturbances: Sequence[Disturbance]) -> None:
    """The last all-clear comes when the fault has been away for a while."""
    deadline = time.monotonic() + slowdown.seconds(180)

    def open_faults() -> int:
        kinds = Counter(kind for _, kind, _ in received.posts)
        return max(reported(disturbances).total(), kinds["failure"]) - kinds["success"]

    while open_faults() > 0 and time.monotonic() < deadline:
        time.sleep(1)


def report(timeline: Timeline, received: Received, instance: dg.DagsterInstance) -> None:
    """What happened, in figures."""
    runs = Counter((run.job_name, run.status.value) for run in instance.get_runs())
    timeline.echo("runs: " + ", ".join(f"{job} {status} {n}" for (job, status), n in sorted(runs.items())))
    for at, kind, title in received.posts:
        timeline.echo(f"{timeline.clock(at)}  alert ({kind}): {title}")
    late = [sample.late for sample in timeline.samples]
    timeline.echo(f"oldest record not in RAW: at most {max(late, default=0):.0f} s")


def check(scene: Scene, instance: dg.DagsterInstance, disturbances: Sequence[Disturbance]) -> None:
    """One alert and one all-clear for each fault, no run doubled, marts fresh, backlog within its limit."""
    timeline, received, settings = scene.timeline, scene.received, scene.stack.settings
    assert misreported(received, disturbances) == [], received.bodies
    assert not doubled(instance, [outage for outage in timeline.outages if "clock" in outage.service])
    assert not stale(timeline, settings, recovery())
    assert not [
        timeline.clock(sample.at)
        for sample in timeline.samples
        if sample.late > settings.lag_limit_seconds and not timeline.in_outage(sample.at, recovery())
    ]


def misreported(received: Received, disturbances: Sequence[Disturbance]) -> list[str]:
    """Alerts that are missing, too many, or without their all-clear."""
    must = Counter({f"{service} is down": n for service, n in reported(disturbances).items()})
    may = Counter(f"{service} is down" for disturbance in disturbances for service in disturbance.may)
    failures = Counter(title for _, kind, title in received.posts if kind == "failure")
    resolved = Counter(title.removeprefix("resolved: ") for _, kind, title in received.posts if kind == "success")
    return [
        f"{title}: {failures[title]} alerts and {resolved[title]} all-clears, expected {must[title]}"
        + (f" to {must[title] + may[title]}" if may[title] else "")
        for title in sorted({*must, *failures, *resolved})
        if not must[title] <= failures[title] <= must[title] + may[title] or resolved[title] != failures[title]
    ]


def doubled(instance: dg.DagsterInstance, steps: Sequence[Outage] = ()) -> list[str]:
    """Pairs of runs of one kind that were at work at the same time. Runs beside a step of the clock are left out: what
    they note of their beginning and end is not the time."""
    records = instance.get_run_records(limit=100_000)
    found = []
    for jobs in (("ingest",), ("live", "policy", "build")):
        spans = sorted(
            (record.start_time, record.end_time or float("inf"), record.dagster_run.run_id)
            for record in records
            if record.dagster_run.job_name in jobs
            and record.start_time
            and not any(
                record.start_time < step.end + STEP and (record.end_time or float("inf")) > step.begin - STEP
                for step in steps
            )
        )
        found += [
            f"{first[2]} and {second[2]} at the same time"
            for first, second in pairwise(spans)
            # A run whose process was killed is ended in the books after the next look only.
            if second[0] < first[1] and not instance.get_run_by_id(first[2]).tags.get(GONE_TAG)  # type: ignore[union-attr]
        ]
    return found


def compare(scene: Scene, truth_file: Path) -> None:
    """Every acknowledged record is one row of the lake and of RAW, and every mart equals the simulator's truth."""
    settings = scene.stack.settings
    records = conserved(settings, scene.retired)
    truth = load_truth(truth_file)
    with connect(settings) as session:

        def rows(statement: str) -> list[dict[str, Any]]:
            cursor = session.cursor()
            cursor.execute(statement)
            names = [column.name.lower() for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        wrong = [
            line
            for mart in KEYS.keys() - BY_RECORD
            for line in differences(
                mart, rows(STATEMENTS.get(mart, f"select * from GOLD.{mart}")), truth["marts"][mart]
            )
        ]
        assert not wrong, "\n".join(wrong[:20])
        (events,) = rows("select count(*) as n from SILVER.EVENTS")
    assert events["n"] == sum(truth["counts"]["events"].values())
    marts = len(KEYS.keys() - BY_RECORD)
    scene.timeline.say(f"conservation and truth hold: {records:,} records, {events['n']:,} events, {marts} marts")


def conserved(settings: Settings, retired: Sequence[str] = ()) -> int:
    """Compare broker, lake and RAW by partition, for retired topics too; returns the records."""
    offsets = topic_offsets(settings.kafka_client_config(), [*topic_names(settings).values(), *retired])
    table = DeltaTable(events_path(settings.lake_root))
    files = [f"{table.root}/{name}" for version in table.versions_after(-1) for name in version.files]
    by_partition = (
        "SELECT kafka_topic, kafka_partition, COUNT(*), COUNT(DISTINCT kafka_offset), MIN(kafka_offset), "
        "MAX(kafka_offset) + 1 FROM {} GROUP BY kafka_topic, kafka_partition"
    )
    broker = {
        (topic, number): (end - offsets.first[topic][number], offsets.first[topic][number], end)
        for topic, ends in offsets.end.items()
        for number, end in ends.items()
        if end > offsets.first[topic][number]
    }
    lake = duckdb.sql(by_partition.format("read_parquet($files)"), params={"files": files}).fetchall()
    with connect(settings) as session:
        raw: Any = session.cursor().execute(by_partition.format("RAW.EVENTS")).fetchall()  # type: ignore[union-attr]
    for rows in (lake, raw):
        assert all(n == distinct for _, _, n, distinct, _, _ in rows)
        assert {(t, int(p)): (int(n), int(low), int(high)) for t, p, n, _, low, high in rows} == broker
    return sum(records for records, _, _ in broker.values())


#: A window that three minutes can show. The reference machine needs a third of it, so only a machine that is more than
#: three times slower gets a longer one: the test waits for most of it.
SHORT_WINDOW = max(480, int(slowdown.seconds(160)))
#: A service dies every 36 seconds, so that there is an outage to recover from all the while.
SHORT = {
    "live_window_seconds": SHORT_WINDOW,
    "policy_window_seconds": SHORT_WINDOW,
    "freshness_interval_seconds": 5,
    # The outages follow each other so closely that a record can wait through several.
    "lag_limit_seconds": int(slowdown.seconds(480)),
    "retry_pauses_seconds": "15,60,300",
    "alert_settle_seconds": slowdown.seconds(15),
    "watch_interval_seconds": 3,
    "max_drain_seconds": 60,
}
LONG = {
    "jvm_options": "",
    "live_window_seconds": int(slowdown.seconds(300)),
    "policy_window_seconds": int(slowdown.seconds(600)),
    "lag_limit_seconds": int(slowdown.seconds(120)),
    "retry_pauses_seconds": "15,60,300",
    "alert_settle_seconds": slowdown.seconds(60),
    "watch_interval_seconds": 5,
}


@pytest.mark.timeout(1200)
def test_three_minutes_at_200_events_a_second(tmp_path: Path, show: Callable[[str], None]) -> None:
    soak(tmp_path / "home", Load(200, 3), KILLS, show, **SHORT)


@pytest.mark.long  # `make soak RATE= MINUTES=` for as long as wished
@pytest.mark.timeout(0)
def test_soak(tmp_path: Path, show: Callable[[str], None]) -> None:
    load = Load(int(os.environ.get("RATE", "500")), float(os.environ.get("MINUTES", "15")))
    soak(tmp_path / "home", load, ALL, show, Clock(tmp_path), **LONG)
