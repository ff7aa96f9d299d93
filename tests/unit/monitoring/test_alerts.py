"""Each problem is reported once to each receiver, with what to do, and once more when it is resolved."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, freeze_time

from music_platform.contracts import events
from music_platform.ingestion.backlog import Backlog
from music_platform.ingestion.waiting import Seen
from music_platform.monitoring import alerts, delivery, sources
from music_platform.monitoring.alerts import CRITICAL, WARNING, OpenProblem, Outage, Problem, Receiver, State
from music_platform.monitoring.sources import SOURCES, WATCHED_JOBS, Looker, Source, UnknownNowError
from music_platform.monitoring.watch import Watch
from music_platform.orchestration.store import Store
from music_platform.orchestration.topic_state import topic_materialization
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack, ServiceStatus
from music_platform.stack.services import CODE, KAFKA, SPARK_CONNECT, WAREHOUSE, WEBSERVER
from music_platform.topics import BrokerUnreachableError, TopicOffsets
from tests.support.receiver import Received, receiving
from tests.support.stack import NO_DISK_ALERTS

BROKER = Problem("service kafka", "kafka is down", 100.0, "It does not answer: nobody sends.", "Look at kafka.log.")
SETTLE = 30.0
SEEN = Seen({"t/0": ((5, 1.0), (7, 2.0))}, {"t/1": (3, 1.0)})


def reports(looks: Iterable[tuple[float, list[Problem]]]) -> list[str]:
    """What one receiver gets in a series of looks."""
    state, lines = State(), []
    for now, problems in looks:
        state = alerts.observe(state, problems, now, SETTLE)
        for notice in alerts.notices(state, "one", now, SETTLE):
            lines += [f"{now:.0f} {p.key}" for p in notice.raised]
            lines += [f"{now:.0f} resolved {o.problem.key}" for o in notice.resolved]
            state = alerts.sent(state, "one", notice)
        state = alerts.without_resolved(state, now, SETTLE)
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


def test_a_message_that_could_not_be_sent_is_sent_again_after_a_growing_pause() -> None:
    state, tries = State(), []
    for now in map(float, range(0, 3000, 10)):
        state = alerts.observe(state, [BROKER], now, SETTLE)
        for _ in alerts.notices(state, "one", now, SETTLE):
            tries.append(now)
            state = alerts.not_sent(state, "one", now)
    assert tries == [0.0, 10.0, 70.0, 370.0, 1270.0, 2170.0]
    (notice,) = alerts.notices(state, "one", 3070.0, SETTLE) or alerts.notices(
        alerts.observe(state, [BROKER], 3070.0, SETTLE), "one", 3070.0, SETTLE
    )
    state = alerts.sent(state, "one", notice)
    assert state.receivers["one"] == Receiver({BROKER.key: CRITICAL})


def test_problems_of_a_group_are_one_message_and_stay_problems_of_their_own() -> None:
    first, second = (
        Problem(f"check {name}", f"check {name} failed", 0.0, f"{name}: 7 of 10", "Look.", WARNING, "{n} checks failed")
        for name in "ab"
    )
    state = alerts.observe(State(), [first, second], 10.0, SETTLE)
    (notice,) = alerts.notices(state, "one", 10.0, SETTLE)
    assert notice.message.title == "music-platform: 2 checks failed"
    assert "a: 7 of 10\nb: 7 of 10\n" in notice.message.body
    third = replace(first, key="check c", what="check c failed", severity=CRITICAL)
    looks = [(0.0, [first]), (10.0, [first, second]), (20.0, [first, third]), (30.0, [first]), (60.0, [first])]
    assert reports(looks) == [
        "0 check a",
        "10 check b",
        "20 check c",
        "60 resolved check b",
        "60 resolved check c",
    ]


def test_problems_of_a_source_that_cannot_be_read_stay_open() -> None:
    found = replace(BROKER, source="the services")
    state = alerts.observe(State(), [found], 0.0, SETTLE)
    state = alerts.sent(state, "one", alerts.notices(state, "one", 0.0, SETTLE)[0])
    for now in (100.0, 200.0):
        state = alerts.observe(state, [], now, SETTLE, {"the services"})
        assert not alerts.notices(state, "one", now, SETTLE)
    state = alerts.observe(state, [], 230.0, SETTLE)
    assert len(alerts.notices(state, "one", 230.0, SETTLE)) == 1


def test_a_restarted_watch_reports_nothing_twice(tmp_path: Path) -> None:
    state = replace(alerts.observe(State(), [BROKER], 0.0, SETTLE), outages=(Outage("kafka", 1.0, 2.0),), seen=SEEN)
    state = alerts.sent(state, "one", alerts.notices(state, "one", 0.0, SETTLE)[0])
    alerts.write_state(tmp_path / "alerts.json", state)
    read = alerts.read_state(tmp_path / "alerts.json", ["one"])
    assert read == state
    assert not alerts.notices(alerts.observe(read, [BROKER], 10.0, SETTLE), "one", 10.0, SETTLE)
    assert not alerts.read_state(tmp_path / "alerts.json", ["another"]).receivers, "a removed URL is forgotten"


def test_a_file_of_the_version_before_is_read_and_nothing_is_reported_twice(tmp_path: Path) -> None:
    def former(problem: Problem) -> dict[str, Any]:
        return {name: value for name, value in asdict(problem).items() if name not in ("group", "source")}

    grouped = replace(BROKER, key="checks raw/events", what="2 checks of raw/events failed")
    found = {p.key: {"problem": former(p), "seen": 5.0} for p in (BROKER, grouped)}
    outages = [{"service": "kafka", "since": 1.0, "until": 2.0}]
    (tmp_path / "alerts.json").write_text(json.dumps({"open": found, "outages": outages}))
    state = alerts.read_state(tmp_path / "alerts.json", ["one", "two"])
    assert state.open == {BROKER.key: OpenProblem(BROKER, 5.0)}, "one for many checks: each is reported on its own"
    assert state.outages == (Outage("kafka", 1.0, 2.0),)
    for receiver in ("one", "two"):
        assert not alerts.notices(alerts.observe(state, [BROKER], 10.0, SETTLE), receiver, 10.0, SETTLE)
        (over,) = alerts.notices(alerts.observe(state, [], 50.0, SETTLE), receiver, 50.0, SETTLE)
        assert over.message.title == "music-platform: resolved: kafka is down"


def test_a_run_that_failed_because_a_service_was_down_raises_no_alert() -> None:
    outages: tuple[Outage, ...] = ()
    for now in (100.0, 110.0, 120.0):
        outages = alerts.update_outages(outages, {"spark": 100.0}, now)
    outages = alerts.update_outages(outages, {}, 130.0)
    assert outages == (Outage("spark", 100.0, 120.0),)
    assert alerts.caused_by_outage(95.0, outages, {"spark"})
    assert alerts.caused_by_outage(125.0, outages, {"spark", "kafka"})
    assert not alerts.caused_by_outage(300.0, outages, {"spark"})
    assert not alerts.caused_by_outage(125.0, outages, {"kafka"}), "a service that the run does not need"
    assert alerts.update_outages(outages, {}, 120.0 + alerts.REMEMBERED) == ()


@pytest.fixture
def receivers() -> Iterator[tuple[Received, Received]]:
    """Two real HTTP servers on this machine."""
    with ExitStack() as opened:
        yield opened.enter_context(receiving()), opened.enter_context(receiving())


def test_an_alert_says_what_since_when_how_bad_and_where_to_look(receivers: tuple[Received, Received]) -> None:
    receiver, _ = receivers
    settings = Settings(_env_file=None, alert_urls=receiver.url)
    send = list(delivery.receivers(settings).values())[-1]
    assert send(alerts.alert([BROKER], 160.0))
    assert send(alerts.all_clear([OpenProblem(BROKER, 220.0)]))
    assert [post[1:] for post in receiver.posts] == [
        ("failure", "kafka is down"),
        ("success", "resolved: kafka is down"),
    ]
    assert receiver.bodies[0] == (
        "Since 1970-01-01 00:01:40 UTC (60 s).\nIt does not answer: nobody sends.\nLook at kafka.log."
    )
    assert "(2 min)" in receiver.bodies[1]


DEAD = "json://127.0.0.1:1/"


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_each_receiver_gets_each_message_once_whichever_of_them_is_dead(
    receivers: tuple[Received, Received], tmp_path: Path, dead: int
) -> None:
    alive = [receiver.url for receiver in receivers]
    settings = Settings(
        _env_file=None,
        music_home=tmp_path,
        alert_urls=" ".join([*alive[:dead], DEAD, *alive[dead:]]),
        alert_settle_seconds=SETTLE,
    )
    broken = [True]
    sources = [Source("the broker", lambda _looker, _now: [BROKER] if broken[0] else [])]
    for now in map(float, range(0, 300, 10)):
        broken[0] = now < 200
        # Each look is that of a restarted watch.
        Watch(settings, no_store, sources).look(now)
    for receiver in receivers:
        titles = [title for _, _, title in receiver.posts]
        assert titles == ["kafka is down", "a receiver of alerts does not answer", "resolved: kafka is down"]
    written = (tmp_path / "alerts.json").read_text()
    assert not any(url in written for url in (DEAD, *alive)), "a URL is a secret"


def test_a_receiver_that_comes_back_hears_what_is_open_once(
    receivers: tuple[Received, Received], tmp_path: Path
) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path, alert_urls=f"{receivers[0].url} {receivers[1].url}")
    watch = Watch(settings, no_store, [Source("the broker", lambda _looker, _now: [BROKER])])
    receivers[1].status = 500
    for now in (0.0, 10.0, 20.0):
        watch.look(now)
    assert receivers[1].refused
    receivers[1].status = 200
    for now in (70.0, 80.0, 90.0):
        watch.look(now)
    assert [len(receiver.posts) for receiver in receivers] == [1, 1]


def no_store() -> Store:
    raise ConnectionError("PostgreSQL is away")


def failing(source: Source) -> Source:
    def find(_looker: Looker, _now: float) -> Iterator[Problem]:
        raise RuntimeError("S3: access denied for secret-of-the-broker")

    return replace(source, find=find)


@pytest.mark.parametrize("broken", SOURCES, ids=lambda source: source.reads)
def test_a_source_that_cannot_be_read_is_a_problem_and_the_others_still_report(
    receivers: tuple[Received, Received], tmp_path: Path, broken: Source
) -> None:
    """Whatever is in `SOURCES`: each of them fails in turn, and each other one has something to say."""
    settings = Settings(
        _env_file=None,
        music_home=tmp_path,
        alert_urls=receivers[0].url,
        watch_ping_url=receivers[1].ping_url,
        kafka_sasl_password="secret-of-the-broker",
        alert_settle_seconds=SETTLE,
    )

    def speaking(source: Source) -> Source:
        problem = Problem(source.reads, f"a problem of {source.reads}", 0.0, "It is bad.", "Look.")
        return replace(source, find=lambda _looker, _now: [problem])

    whole = [speaking(source) for source in SOURCES]
    partly = [failing(source) if source == broken else speaking(source) for source in SOURCES]
    Watch(settings, no_store, whole).look(0.0)
    assert len(receivers[1].pings) == 1
    watch = Watch(settings, no_store, partly)
    for now in (100.0, 200.0, 300.0):
        watch.look(now)
    assert len(receivers[1].pings) == 1, "a look that is not complete is no sign of life"
    titles = [title for _, _, title in receivers[0].posts]
    assert sorted(titles[:-1]) == sorted(f"a problem of {source.reads}" for source in SOURCES)
    assert titles[-1] == f"the watch cannot read {broken.reads}"
    assert "S3: access denied for …" in receivers[0].bodies[-1]
    Watch(settings, no_store, whole).look(310.0)
    assert len(receivers[1].pings) == 2


def test_without_dagsters_store_the_services_still_report(receivers: tuple[Received, Received], tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None, music_home=tmp_path, alert_urls=receivers[0].url, kafka_bootstrap_servers="127.0.0.1:1"
    )
    watch = Watch(settings, no_store)
    watch.look(0.0)
    titles = [title for _, _, title in receivers[0].posts]
    assert "kafka is down" in titles
    assert [title for title in titles if title.startswith("the watch cannot read")] == [
        "the watch cannot read 9 of its sources"
    ]


def test_a_source_that_cannot_know_is_no_failure(receivers: tuple[Received, Received], tmp_path: Path) -> None:
    def unknown(_looker: Looker, _now: float) -> Iterator[Problem]:
        raise UnknownNowError

    settings = Settings(_env_file=None, music_home=tmp_path, watch_ping_url=receivers[1].ping_url)
    watch = Watch(settings, no_store, [Source("the lag", unknown)])
    assert [watch.look(now) for now in (0.0, 30.0, 61.0)] == [[], [], []]
    assert len(receivers[1].pings) == 2, "at most one a minute"


def test_a_damaged_file_and_a_dead_switch_keep_no_alert_back(
    receivers: tuple[Received, Received], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alerts.json").write_text('{"open": [')
    ping_url = "http://127.0.0.1:1/secret"
    settings = Settings(_env_file=None, music_home=tmp_path, alert_urls=receivers[0].url, watch_ping_url=ping_url)
    watch = Watch(settings, no_store, [Source("the broker", lambda _looker, _now: [BROKER])])
    for now in (0.0, 10.0):
        watch.look(now)
    assert [title for _, _, title in receivers[0].posts] == ["kafka is down"]
    assert (tmp_path / "alerts.damaged").exists()
    said = capsys.readouterr().err
    assert "WATCH_PING_URL: the ping failed" in said
    assert "secret" not in said


def test_every_watched_job_names_what_it_needs_and_none_needs_the_ui() -> None:
    needs = {name: watched.needs for watched in WATCHED_JOBS for name in watched.names}
    assert all(CODE in each and WEBSERVER not in each for each in needs.values())
    assert KAFKA in needs["ingest"]
    assert KAFKA not in needs["live"]
    assert WAREHOUSE in needs["live"]


def test_a_failed_job_is_reported_while_a_service_is_down_that_it_does_not_need(tmp_path: Path) -> None:
    @dg.op
    def fail() -> None:
        raise dg.Failure("broken")

    @dg.job
    def live() -> None:
        fail()

    with dg.DagsterInstance.ephemeral() as instance:
        looker = Looker(Settings(_env_file=None, music_home=tmp_path), lambda: Store(instance))
        live.execute_in_process(instance=instance, raise_on_error=False)
        (ended,) = [record.end_time for record in instance.get_run_records()]
        assert ended is not None
        for service, reported in ((WEBSERVER, 1), (KAFKA, 1), (WAREHOUSE, 0), (CODE, 0)):
            looker.outages = (Outage(service, ended - 5, ended + 5),)
            assert len(list(looker.jobs(ended))) == reported, service


def test_the_watch_sees_failed_runs_and_failed_checks(receivers: tuple[Received, Received], tmp_path: Path) -> None:
    @dg.op
    def fail() -> None:
        raise dg.Failure("broken")

    @dg.job
    def policy() -> None:
        fail()

    @dg.asset_check(asset=dg.AssetKey(["raw", "events"]))
    def some_check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="7 of 10")

    settings = Settings(
        _env_file=None,
        music_home=tmp_path,
        alert_urls=receivers[0].url,
        kafka_bootstrap_servers="127.0.0.1:1",
        **NO_DISK_ALERTS,
    )
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        watch = Watch(settings, lambda: Store(instance, lambda: list(some_check.check_keys)))
        policy.execute_in_process(instance=instance, raise_on_error=False)
        dg.materialize(
            [some_check], instance=instance, raise_on_error=False, selection=dg.AssetSelection.all_asset_checks()
        )
        watch.look(1000.0)
        watch.look(1010.0)
    kinds = {title: kind for _, kind, title in receivers[0].posts}
    assert len(receivers[0].posts) == 3
    assert kinds == {
        "policy fails": "failure",
        "check some_check of raw/events failed": "warning",
        "kafka is down": "failure",
    }


def test_a_source_that_is_silent_for_a_day_is_a_warning(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        looker = Looker(settings, lambda: Store(instance))
        assert not list(looker.producers(1e9))
        with freeze_time(1e9):
            instance.report_runless_asset_event(topic_materialization(events.LISTEN, {0: 0}, {0: 7}, 7, 1e9))
        assert not list(looker.producers(1e9 + 23 * 3600))
        (problem,) = looker.producers(1e9 + 25 * 3600)
        assert (problem.since, problem.severity) == (1e9, WARNING)


def test_a_spark_that_hangs_is_named_while_a_run_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked once a minute, and only while a run needs it: each question starts a session there."""
    settings = Settings(_env_file=None, music_home=tmp_path, hang_limit_seconds=100)
    answers: list[str | None] = []
    asked: list[str] = []

    def lacks(name: str, _settings: Settings) -> str | None:
        asked.append(name)
        return answers.pop(0)

    monkeypatch.setattr(sources, "lacks", lacks)
    with dg.DagsterInstance.ephemeral() as instance:
        looker = Looker(settings, lambda: Store(instance))
        assert not list(looker.spark(0.0))
        assert asked == []
        with freeze_time(1_000_000.0):
            waiting = create_run_for_test(instance, "ingest")
            start = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "ingest")
            instance.report_dagster_event(start, waiting.run_id)
            building = create_run_for_test(instance, "live")
            instance.report_dagster_event(dg.DagsterEvent(start.event_type_value, "live"), building.run_id)
        answers += [None, "no answer", None, "no answer", "no answer", "no answer", None]
        found, ended = [], []
        for minute in range(7):
            for seconds in (0, 30):
                now = 1_000_000.0 + 60 * minute + seconds
                looker.down.pop(SPARK_CONNECT, None)
                found += [(minute, seconds, problem.since) for problem in looker.spark(now)]
                with freeze_time(now):
                    ended += [(minute, seconds) for _ in looker.end_hanging_runs(now)]
                if ended:
                    # Dagster's daemon would start the next one.
                    create_run_for_test(instance, "ingest")
        assert len(asked) == 7
        assert [(minute, seconds) for minute, seconds, _ in found] == [(4, 0), (4, 30), (5, 0), (5, 30)]
        assert {since for *_, since in found} == {1_000_180.0}
        assert ended == [(5, 0)]
        runs = {
            run.job_name: run.status for run in instance.get_runs() if run.run_id in {waiting.run_id, building.run_id}
        }
        assert runs == {"ingest": dg.DagsterRunStatus.FAILURE, "live": dg.DagsterRunStatus.STARTED}
        (why,) = instance.get_records_for_run(waiting.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
        assert "spark has not answered for 120 s" in str(why.event_log_entry.dagster_event)


def test_a_service_that_comes_up_with_the_platform_is_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [("starting", 7), ("running", 7), ("starting", 8), ("running", 8), ("running", 8)]
    with dg.DagsterInstance.ephemeral() as instance:
        looker = Looker(Settings(_env_file=None, music_home=tmp_path), lambda: Store(instance))
        down = []
        for state, pid in looks:
            status = {"daemon": ServiceStatus(state, pid, None, 0)}
            monkeypatch.setattr(LocalStack, "status", lambda _, status=status: status)
            down.append([problem.key for problem in looker.services(0.0)])
    assert down == [[], [], ["service daemon"], [], []], "a service that was seen running and is restarted was down"


def test_a_lake_that_waits_is_reported_while_the_broker_is_away(
    tmp_path: Path,
) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path, lake_url=str(tmp_path / "lake"))
    log = tmp_path / "lake" / "events" / "_delta_log"
    log.mkdir(parents=True)
    add = {"add": {"path": "0.parquet", "dataChange": True, "stats": json.dumps({"numRecords": 10})}}
    commit = {"commitInfo": {"timestamp": 1_000_000}}
    (log / f"{0:020d}.json").write_text(f"{json.dumps(commit)}\n{json.dumps(add)}")
    with dg.DagsterInstance.ephemeral() as instance:
        looker = Looker(settings, lambda: Store(instance))
        looker.down = {KAFKA: 900.0}
        looker.seen = Seen({"t/0": ((7, 0.0),)})
        for now, late in ((1000.0 + settings.lag_limit_seconds, 0), (1001.0 + settings.lag_limit_seconds, 1)):
            found: list[Problem] = []
            with pytest.raises(UnknownNowError):
                found.extend(looker.lag(now))
            assert len(found) == late
        (problem,) = found
        assert (problem.key, problem.since) == ("lag", 1000.0)
        assert problem.how_bad.startswith("10 records are waiting in the lake, the oldest for ")


@pytest.mark.parametrize("asked", ["read_kafka_backlog", "look_at_kafka"])
@pytest.mark.parametrize(
    ("pid", "lacking", "reports_itself"),
    [(8, None, True), (7, "a broker", True), (7, None, False)],
    ids=["restarted", "down", "as before"],
)
def test_a_broker_that_goes_down_during_a_look_is_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, pid: int, lacking: str | None, reports_itself: bool
) -> None:
    """The services report it at the next look."""

    def away(*_: object) -> None:
        raise BrokerUnreachableError("Kafka at here does not answer.")

    monkeypatch.setattr(sources, "read_kafka_backlog", lambda _: (TopicOffsets({}, {}, {}), Backlog(0, {})))
    monkeypatch.setattr(sources, asked, away)
    monkeypatch.setattr(sources, "lacks", lambda *_: None)
    with dg.DagsterInstance.ephemeral() as instance:
        looker = Looker(Settings(_env_file=None, music_home=tmp_path), lambda: Store(instance))
        monkeypatch.setattr(LocalStack, "status", lambda _: {"kafka": ServiceStatus("running", 7, None, 0)})
        assert not list(looker.services(0.0))
        monkeypatch.setattr(LocalStack, "status", lambda _: {"kafka": ServiceStatus("running", pid, None, 0)})
        monkeypatch.setattr(sources, "lacks", lambda *_: lacking)
        with pytest.raises(UnknownNowError if reports_itself else BrokerUnreachableError):
            list(looker.lag(5.0))
