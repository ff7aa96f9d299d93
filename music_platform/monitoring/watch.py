"""The watch: checks services, runs, checks, freshness and lag, and alerts people.

It is a separate process and not a sensor, because it must also report a daemon that is down. It asks supervisor, the
brokers, the lake's log and Dagster's store, never the warehouse.
"""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.ingestion.backlog import kafka_age, lake_age, read_kafka_backlog, read_lake_backlog
from music_platform.ingestion.disk_space import local_disks
from music_platform.monitoring import alerts
from music_platform.monitoring.alerts import CRITICAL, WARNING, Message, Problem, State
from music_platform.monitoring.disk import disk_problems
from music_platform.orchestration.quality import FailedCheck
from music_platform.orchestration.store import Store, open_store
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.readiness import lacks
from music_platform.stack.services import CODE, DAEMON, KAFKA, SPARK_CONNECT, WAREHOUSE, WATCH, WEBSERVER
from music_platform.topics import BrokerUnreachableError

#: Jobs that run unattended, and what their failure means. Failures of the jobs on one line are counted together.
WATCHED_JOBS = {
    ("ingest",): "no new events arrive in the lake and RAW",
    ("live", "build"): "the live marts are not updated",
    ("policy",): "the policy marts are not updated",
    ("reference",): "songs, artists or users are not updated",
    ("quality",): "the data is not checked",
    ("reconciliation",): "nobody knows whether every record became a row",
    ("nightly",): "whole tables are not tested",
    ("maintenance",): "the lake is not compacted and its log is not cleaned",
    ("pruning",): "old runs and events of Dagster are not deleted",
}

#: What does not work without a service.
WITHOUT = {
    KAFKA: "producers cannot send and nothing new is read",
    SPARK_CONNECT: "nothing new is read into the lake",
    WAREHOUSE: "nothing is loaded or built, and the marts cannot be queried",
    CODE: "no sensor ticks and no run starts",
    WEBSERVER: "the UI is unavailable, but data is still processed",
    DAEMON: "no run starts",
}

#: Seconds without a heartbeat after which a daemon counts as down.
DAEMON_SILENT = 120.0
#: Maximum number of names that a message lists.
MAX_LISTED = 5


class Watch:
    """Looks repeatedly. Open problems are kept in a file, so that a restarted watch reports nothing twice."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.home = Home(settings.home)
        self._file = self.home.root / "alerts.json"
        self._pids: dict[str, int] = {}
        self._down: dict[str, float] = {}
        #: The state that the file could not take.
        self._unsaved: State | None = None

    def look(self, now: float) -> list[Message]:
        """One look: read, decide, send. Returns what was sent."""
        state = self._unsaved or alerts.read_state(self._file)
        services = list(self._services(now))
        outages = alerts.update_outages(state.outages, self._down, now)
        problems = [
            *services,
            *self._jobs(outages),
            *self._checks(),
            *self._freshness(),
            *self._lag(now),
            *self._source(now),
            *self._disk(now),
        ]
        changes = alerts.changes(state, problems, now, self.settings.alert_settle_seconds)
        messages = {problem: alerts.alert(problem, now) for problem in changes.raised}
        clears = {resolved.problem: alerts.all_clear(resolved) for resolved in changes.resolved}
        sent = {problem: message for problem, message in (messages | clears).items() if send(self.settings, message)}
        reported = alerts.Changes(
            tuple(problem for problem in changes.raised if problem in sent),
            tuple(resolved for resolved in changes.resolved if resolved.problem in sent),
        )
        new: State = alerts.next_state(state, problems, reported, outages, now)
        if new != state or self._unsaved:
            self._save(new)
        return list(sent.values())

    def _save(self, state: State) -> None:
        """Keep the state in the file, or in memory while the disk is full: nothing is reported twice."""
        try:
            alerts.write_state(self._file, state)
            self._unsaved = None
        except OSError as error:
            self._unsaved = state
            print(f"{self._file} could not be written: {error}", file=sys.stderr, flush=True)

    def _services(self, now: float) -> Iterator[Problem]:
        """Services that do not run, do not answer, or were restarted since the last look."""
        stack = LocalStack(self.settings)
        for name, service in stack.status().items():
            complaint = self._complaint(name, service.state, service.pid)
            if complaint is None:
                self._down.pop(name, None)
                continue
            since = self._down.setdefault(name, now)
            where = f"Look at {self.home.log_of(name)}, and run music-platform status and music-platform doctor."
            if service.state == "external":
                where = f"It is an external service at {service.address}: look there."
            yield Problem(
                f"service {name}", f"{name} is down", since, f"{complaint}: {WITHOUT.get(name, 'unknown')}.", where
            )

    def _complaint(self, name: str, state: str, pid: int | None) -> str | None:
        before = self._pids.get(name)
        if state == "starting" and before is None:
            return None  # It starts with the platform. If it cannot, it is in another state soon.
        if pid is not None:
            self._pids[name] = pid
        if name == WATCH or state == "stopped":
            # It was never started, or someone stopped it.
            return None
        if state == "external":
            return lacks(name, self.settings) if name == KAFKA else None
        if state != "running":
            return f"Its process ended and is being restarted ({state})"
        if before not in (None, pid):
            return "Its process ended and was restarted"
        if name == SPARK_CONNECT:
            return None  # Asking it would start a session. Failed runs show when it does not answer.
        if name == DAEMON:
            return self._silence()
        complaint = lacks(name, self.settings)
        return f"It does not answer: {complaint}" if complaint else None

    def _silence(self) -> str | None:
        if (silent := self.store.silent_seconds()) > DAEMON_SILENT:
            return f"It has sent no heartbeat for {silent:.0f} s"
        return None

    def _jobs(self, outages: tuple[alerts.Outage, ...]) -> Iterator[Problem]:
        """Jobs whose last run failed, unless an outage caused it."""
        for jobs, consequence in WATCHED_JOBS.items():
            failures = self.store.failures_in_a_row(*jobs)
            if failures.count and not alerts.caused_by_outage(failures.ended, outages):
                yield Problem(
                    f"job {jobs[0]}",
                    f"{' or '.join(jobs)} fails",
                    failures.since,
                    f"{failures.count} runs in a row failed: {consequence}.",
                    f"Look at {self.settings.dagster_url}/runs/{failures.last_run}",
                )

    def _checks(self) -> Iterator[Problem]:
        """Assets with checks that failed in their latest evaluation."""
        failed: dict[str, list[FailedCheck]] = {}
        for check in self.store.failed_checks():
            failed.setdefault(check.key.asset_key.to_user_string(), []).append(check)
        for asset, checks in sorted(failed.items()):
            severe = any(check.severe for check in checks)
            listed = [f"{check.key.name}: {check.description}" for check in checks[:MAX_LISTED]]
            yield Problem(
                f"checks {asset}",
                f"{len(checks)} check{'s' if len(checks) > 1 else ''} of {asset} failed",
                min(check.at for check in checks),
                "\n".join(listed),
                f"Look at {self.settings.dagster_url}/assets/{asset}?view=checks",
                CRITICAL if severe else WARNING,
            )

    def _freshness(self) -> Iterator[Problem]:
        """Marts that violate their freshness policy."""
        if broken := self.store.stale_marts():
            names = ", ".join(sorted(broken)[:MAX_LISTED]) + (" …" if len(broken) > MAX_LISTED else "")
            yield Problem(
                "freshness",
                "marts are stale",
                min(broken.values()),
                f"{len(broken)} marts are past their freshness window: {names}.",
                f"Look at the ticks of live_sensor and freshness_sensor: {self.settings.dagster_url}/automation",
            )

    def _lag(self, now: float) -> Iterator[Problem]:
        """A backlog before RAW whose oldest record has waited too long."""
        if KAFKA in self._down:
            return
        try:
            offsets, kafka = read_kafka_backlog(self.settings)
        except BrokerUnreachableError:
            return  # The next look reports the service as down.
        loaded = self.store.recorded_version()
        lake = read_lake_backlog(self.settings, loaded)
        seconds = max(
            kafka_age(self.settings, offsets) if kafka.records else 0.0,
            lake_age(self.settings, loaded) if lake.records else 0.0,
        )
        if seconds > self.settings.lag_limit_seconds:
            yield Problem(
                "lag",
                "events arrive late in RAW",
                now - seconds,
                f"{kafka.records:,} records are waiting in Kafka and {lake.records:,} in the lake, the oldest for "
                f"{seconds:.0f} s. LAG_LIMIT_SECONDS is {self.settings.lag_limit_seconds}.",
                f"Look at the ticks of lag_sensor: {self.settings.dagster_url}/automation",
            )

    def _source(self, now: float) -> Iterator[Problem]:
        """Topics without new records for too long. The lag sensor observes a topic when its end offsets move."""
        newest = self.store.last_topic_movement() or now
        if now - newest > self.settings.source_silent_hours * 3600:
            yield Problem(
                "source",
                "no events arrive",
                newest,
                "No topic has had a new record since then. SOURCE_SILENT_HOURS is "
                f"{self.settings.source_silent_hours:g}.",
                "Look at the producers. The platform itself is idle, and its marts are complete.",
                WARNING,
            )

    def _disk(self, now: float) -> Iterator[Problem]:
        """Disks of the home and of a local lake that fill up."""
        settings = self.settings
        yield from disk_problems(
            local_disks(settings), settings.disk_warning_percent, settings.disk_critical_percent, now
        )


def send(settings: Settings, message: Message) -> bool:
    """Write a message to the log and send it to ALERT_URLS; False if that failed, so that it is sent again."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {message.severity}: {message.title} | {message.body!r}", flush=True)
    if not settings.alert_urls:
        return True
    import apprise

    levels = {
        CRITICAL: apprise.NotifyType.FAILURE,
        WARNING: apprise.NotifyType.WARNING,
        alerts.SUCCESS: apprise.NotifyType.SUCCESS,
    }
    receivers = apprise.Apprise()
    for url in settings.alert_urls.split():
        receivers.add(url)
    sent = receivers.notify(title=message.title, body=message.body, notify_type=levels[message.severity])
    if not sent:
        print("ALERT_URLS: could not send the message to every receiver; retrying at the next look", file=sys.stderr)
    return bool(sent)


def run(settings: Settings) -> None:
    """Look until the process ends."""
    home = Home(settings.home)
    with open_store(settings, home.dbt_manifest) as store:
        watch = Watch(settings, store)
        while True:
            try:
                watch.look(time.time())
            except (PlatformError, OSError) as error:
                print(f"the watch failed to look: {error}", file=sys.stderr, flush=True)
            time.sleep(settings.watch_interval_seconds)
