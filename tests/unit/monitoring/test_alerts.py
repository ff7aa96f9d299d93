"""Each problem is reported once, with what to do, and once more when it is resolved."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from music_platform.contracts import events
from music_platform.monitoring import alerts
from music_platform.monitoring.alerts import WARNING, Changes, Outage, Problem, State
from music_platform.monitoring.watch import Watch, send
from music_platform.orchestration.keys import TOPIC_KEYS
from music_platform.orchestration.store import Store
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack, ServiceStatus

BROKER = Problem("service kafka", "kafka is down", 100.0, "It does not answer: nobody sends.", "Look at kafka.log.")
SETTLE = 30.0


def reports(looks: list[tuple[float, list[Problem]]]) -> list[str]:
    """What is reported in a series of looks."""
    state, lines = State(), []
    for now, problems in looks:
        change = alerts.changes(state, problems, now, SETTLE)
        lines += [f"{now:.0f} {p.key}" for p in change.raised]
        lines += [f"{now:.0f} resolved {o.problem.key}" for o in change.resolved]
        state = alerts.next_state(state, problems, change, (), now)
    return lines


def test_a_fault_is_one_alert_and_one_all_clear() -> None:
    looks = [(now, [BROKER] if 100 <= now < 300 else []) for now in range(0, 500, 10)]
    assert reports([(float(now), problems) for now, problems in looks]) == [
        "100 service kafka",
        "320 resolved service kafka",
    ]


def test_a_fault_that_flaps_is_one_fault() -> None:
    looks = [(float(now), [BROKER] if now % 20 == 0 and now < 300 else []) for now in range(100, 500, 10)]
    assert reports(looks) == ["100 service kafka", "310 resolved service kafka"]


def test_a_problem_that_becomes_worse_is_reported_again() -> None:
    mild = replace(BROKER, severity=WARNING)
    assert reports([(0.0, [mild]), (10.0, [mild]), (20.0, [BROKER]), (30.0, [BROKER]), (40.0, [mild])]) == [
        "0 service kafka",
        "20 service kafka",
    ]


def test_a_message_that_could_not_be_sent_is_sent_at_the_next_look() -> None:
    state = State()
    first = alerts.changes(state, [BROKER], 0.0, SETTLE)
    state = alerts.next_state(state, [BROKER], Changes((), ()), (), 0.0)
    assert alerts.changes(state, [BROKER], 10.0, SETTLE) == first


def test_a_restarted_watch_reports_nothing_twice(tmp_path: Path) -> None:
    change = alerts.changes(State(), [BROKER], 0.0, SETTLE)
    state = alerts.next_state(State(), [BROKER], change, [Outage("kafka", 1.0, 2.0)], 0.0)
    alerts.write_state(tmp_path / "alerts.json", state)
    read = alerts.read_state(tmp_path / "alerts.json")
    assert read == state
    assert alerts.changes(read, [BROKER], 10.0, SETTLE) == Changes((), ())


def test_a_run_that_failed_because_a_service_was_down_raises_no_alert() -> None:
    outages: tuple[Outage, ...] = ()
    for now in (100.0, 110.0, 120.0):
        outages = alerts.update_outages(outages, {"spark": 100.0}, now)
    outages = alerts.update_outages(outages, {}, 130.0)
    assert outages == (Outage("spark", 100.0, 120.0),)
    assert alerts.caused_by_outage(95.0, outages)
    assert alerts.caused_by_outage(125.0, outages)
    assert not alerts.caused_by_outage(300.0, outages)
    assert alerts.update_outages(outages, {}, 120.0 + alerts.REMEMBERED) == ()


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server on this machine, and what was posted to it."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


def test_an_alert_says_what_since_when_how_bad_and_where_to_look(
    receiver: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    url, received = receiver
    settings = Settings(_env_file=None, music_home=tmp_path, alert_urls=url)
    assert send(settings, alerts.alert(BROKER, 160.0))
    assert send(settings, alerts.all_clear(alerts.OpenProblem(BROKER, 220.0)))
    first, second = received
    assert (first["title"], first["type"]) == ("music-platform: kafka is down", "failure")
    assert first["message"] == (
        "Since 1970-01-01 00:01:40 UTC (60 s).\nIt does not answer: nobody sends.\nLook at kafka.log."
    )
    assert (second["title"], second["type"]) == ("music-platform: resolved: kafka is down", "success")
    assert "(2 min)" in second["message"]


def test_a_receiver_that_does_not_answer_is_no_success(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path, alert_urls="json://127.0.0.1:1/")
    assert not send(settings, alerts.alert(BROKER, 160.0))


def test_the_watch_sees_failed_runs_and_failed_checks(
    receiver: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    @dg.op
    def fail() -> None:
        raise dg.Failure("broken")

    @dg.job
    def policy() -> None:
        fail()

    @dg.asset_check(asset=dg.AssetKey(["raw", "events"]))
    def some_check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="7 of 10")

    url, received = receiver
    settings = Settings(_env_file=None, music_home=tmp_path, alert_urls=url, kafka_bootstrap_servers="127.0.0.1:1")
    with dg.DagsterInstance.ephemeral() as instance:
        watch = Watch(settings, Store(instance, lambda: list(some_check.check_keys)))
        policy.execute_in_process(instance=instance, raise_on_error=False)
        dg.materialize(
            [some_check], instance=instance, raise_on_error=False, selection=dg.AssetSelection.all_asset_checks()
        )
        watch.look(1000.0)
        watch.look(1010.0)
    kinds = {post["title"].removeprefix("music-platform: "): post["type"] for post in received}
    assert len(received) == 3
    assert kinds == {
        "policy fails": "failure",
        "1 check of raw/events failed": "warning",
        "kafka is down": "failure",
    }


def test_a_source_that_is_silent_for_a_day_is_a_warning(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        watch = Watch(settings, Store(instance))
        assert not list(watch._source(1e9))
        with freeze_time(1e9):
            instance.report_runless_asset_event(dg.AssetObservation(TOPIC_KEYS[events.LISTEN]))
        assert not list(watch._source(1e9 + 23 * 3600))
        (problem,) = watch._source(1e9 + 25 * 3600)
        assert (problem.since, problem.severity) == (1e9, WARNING)


def test_a_service_that_comes_up_with_the_platform_is_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [("starting", 7), ("running", 7), ("starting", 8), ("running", 8), ("running", 8)]
    with dg.DagsterInstance.ephemeral() as instance:
        watch = Watch(Settings(_env_file=None, music_home=tmp_path), Store(instance))
        down = []
        for state, pid in looks:
            status = {"daemon": ServiceStatus(state, pid, None, 0)}
            monkeypatch.setattr(LocalStack, "status", lambda _, status=status: status)
            down.append([problem.key for problem in watch._services(0.0)])
    assert down == [[], [], ["service daemon"], [], []], "a service that was seen running and is restarted was down"
