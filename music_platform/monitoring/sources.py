"""The sources of problems: each reads one part of the platform and yields what is wrong with it.

They ask supervisor, the brokers, the lake's log and Dagster's store, never the warehouse. The watch guards each of them
on its own, so a source only has to be in `SOURCES`. Sending does not belong here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from music_platform.clock import Step, as_shown_now, seconds_since
from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.ingestion.backlog import (
    Backlog,
    look_at_kafka,
    oldest_unloaded_commit,
    read_kafka_backlog,
    read_lake_backlog,
)
from music_platform.ingestion.disk_space import local_disks
from music_platform.ingestion.waiting import Seen
from music_platform.monitoring import alerts
from music_platform.monitoring.alerts import CRITICAL, WARNING, Outage, Problem
from music_platform.monitoring.disk import disk_problems
from music_platform.orchestration.store import Store
from music_platform.settings import Settings, without_secrets
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.readiness import lacks
from music_platform.stack.services import CODE, DAEMON, DASHBOARD, KAFKA, SPARK_CONNECT, WAREHOUSE, WATCH, WEBSERVER
from music_platform.topics import BrokerUnreachableError


@dataclass(frozen=True)
class WatchedJobs:
    """Jobs that run unattended and whose failures are counted together: what a failure means, and the services without
    which they cannot work."""

    names: tuple[str, ...]
    consequence: str
    needs: frozenset[str]


#: The parent of every run, and what builds and checks ask.
_RUNS = frozenset({CODE})
_BUILDS = _RUNS | {WAREHOUSE}

WATCHED_JOBS = (
    WatchedJobs(("ingest",), "no new events arrive in the lake and RAW", _BUILDS | {KAFKA, SPARK_CONNECT}),
    WatchedJobs(("live", "build"), "the live marts are not updated", _BUILDS),
    WatchedJobs(("policy",), "the policy marts are not updated", _BUILDS),
    WatchedJobs(("reference",), "songs, artists or users are not updated", _BUILDS),
    WatchedJobs(("quality",), "the data is not checked", _BUILDS),
    WatchedJobs(("reconciliation",), "nobody knows whether every record became a row", _BUILDS | {KAFKA}),
    WatchedJobs(("nightly",), "whole tables are not tested", _BUILDS),
    WatchedJobs(("maintenance",), "the lake is not compacted and its log is not cleaned", _BUILDS | {SPARK_CONNECT}),
    WatchedJobs(("pruning",), "old runs and events of Dagster are not deleted", _RUNS),
)

#: Jobs that people start, and the services without which they cannot work.
_BY_HAND = {
    "everything": frozenset({WAREHOUSE, SPARK_CONNECT}),
    "rebuild": frozenset({WAREHOUSE}),
    "rebuild_month": frozenset({WAREHOUSE}),
}
#: Services whose clients wait without end where they hang. Those of the brokers have timeouts of their own.
WAITED_FOR = (SPARK_CONNECT, WAREHOUSE)


def jobs_that_need(service: str) -> set[str]:
    """Jobs that cannot work without a service."""
    watched = {name for job in WATCHED_JOBS if service in job.needs for name in job.names}
    return watched | {name for name, needs in _BY_HAND.items() if service in needs}


#: What does not work without a service.
WITHOUT = {
    KAFKA: "producers cannot send and nothing new is read",
    SPARK_CONNECT: "nothing new is read into the lake",
    WAREHOUSE: "nothing is loaded or built, and the marts cannot be queried",
    CODE: "no sensor ticks and no run starts",
    WEBSERVER: "the UI is unavailable, but data is still processed",
    DAEMON: "no run starts",
    DASHBOARD: "the dashboard is unavailable, but data is still processed",
}

#: Seconds without a heartbeat after which a daemon counts as down.
DAEMON_SILENT = 120.0


#: Seconds between two questions to Spark. Each starts a session there.
SPARK_PAUSE = 60.0
#: Questions in a row that Spark does not answer, after which it counts as down: a server at work may be slow.
SPARK_SILENCES = 2

#: Maximum number of steps of the clock that are remembered.
MAX_STEPS = 20
#: Maximum number of characters of an error that a message shows.
SAID_CHARACTERS = 300


class UnknownNowError(Exception):
    """A source cannot say anything now, for a reason that another source reports. Its open problems stay open."""


class Looker:
    """What the sources share: settings, Dagster's store, and what was seen of the services at earlier looks."""

    def __init__(self, settings: Settings, store: Callable[[], Store]) -> None:
        self.settings, self.home = settings, Home(settings.home)
        self._store = store
        self._pids: dict[str, int] = {}
        #: Services that do not run or do not answer, and since when.
        self.down: dict[str, float] = {}
        #: Outages of the last hour, those of now included.
        self.outages: tuple[Outage, ...] = ()
        #: What was seen of the partitions, at this look and before.
        self.seen = Seen()
        #: When Spark was last asked, and since when it has not answered: a moment for each question.
        self._asked_spark = float("-inf")
        self._spark_silences: tuple[float, ...] = ()
        #: When the clock was set while this process ran.
        self._steps: deque[Step] = deque(maxlen=MAX_STEPS)

    def note_step(self, by: float, now: float) -> None:
        """Take note that the clock was set by so many seconds just now; 0 if it was not."""
        if by:
            self._steps.append(Step(now, by))
            self.down = {name: min(since + by, now) for name, since in self.down.items()}

    def _shown(self, moment: float, now: float) -> float:
        """A moment that another process noted, by the clock of now."""
        return as_shown_now(moment, self._steps, now)

    @property
    def store(self) -> Store:
        """Dagster's store, opened when it is first needed: it may be away when the watch starts."""
        return self._store()

    def services(self, now: float) -> Iterator[Problem]:
        """Services that do not run, do not answer, or were restarted since the last look."""
        for name, service in LocalStack(self.settings).status().items():
            complaint = self._complaint(name, service.state, service.pid)
            if complaint is None:
                self.down.pop(name, None)
                continue
            since = self.down.setdefault(name, now)
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
            return self._lacks(name) if name == KAFKA else None
        if state != "running":
            return f"Its process ended and is being restarted ({state})"
        if before not in (None, pid):
            return "Its process ended and was restarted"
        if name in (SPARK_CONNECT, DAEMON):
            # Asking Spark starts a session, so it is asked while a run needs it (`spark`). The daemon has heartbeats.
            return None
        complaint = self._lacks(name)
        return f"It does not answer: {complaint}" if complaint else None

    def _lacks(self, name: str) -> str | None:
        try:
            return lacks(name, self.settings)
        except Exception as error:  # An answer that cannot be understood is none, and says nothing about the others.
            return f"{type(error).__name__}: {error}"

    def spark(self, now: float) -> Iterator[Problem]:
        """A Spark server that runs and does not answer while a run needs it."""
        if SPARK_CONNECT in self.down or not any(map(self.store.is_in_flight, sorted(jobs_that_need(SPARK_CONNECT)))):
            self._asked_spark, self._spark_silences = float("-inf"), ()
            return
        if seconds_since(self._asked_spark, now) >= SPARK_PAUSE:
            self._asked_spark = now
            self._spark_silences = (*self._spark_silences, now) if self._lacks(SPARK_CONNECT) else ()
        if len(self._spark_silences) >= SPARK_SILENCES:
            since = self._shown(self._spark_silences[0], now)
            self.down[SPARK_CONNECT] = since
            yield Problem(
                f"service {SPARK_CONNECT}",
                f"{SPARK_CONNECT} is down",
                since,
                f"It does not answer, though its process runs: {WITHOUT[SPARK_CONNECT]}. Runs that wait for it for "
                f"{self.settings.hang_limit_seconds} s (HANG_LIMIT_SECONDS) are ended.",
                f"Look at {self.home.log_of(SPARK_CONNECT)}. If it stays so, end its process: it is restarted, and "
                "nothing is lost.",
            )

    def end_hanging_runs(self, now: float) -> list[str]:
        """End runs that have waited for too long for a service that does not answer; returns their ids."""
        limit, ended = self.settings.hang_limit_seconds, list[str]()
        for service in WAITED_FOR:
            since = self.down.get(service)
            if since is not None and now - since >= limit:
                why = (
                    f"{service} has not answered for {now - since:.0f} s, and this run was waiting for it "
                    f"(HANG_LIMIT_SECONDS is {limit}). Nothing is lost: the next run resumes. "
                    f"Look at {self.home.log_of(service)}"
                )
                ended += self.store.end_hanging(jobs_that_need(service), limit, why)
        return ended

    def heartbeats(self, now: float) -> Iterator[Problem]:
        """A daemon that runs and does nothing."""
        beat = self.store.oldest_heartbeat()
        silent = now - self._shown(beat, now) if beat else 0.0
        if DAEMON not in self.down and silent > DAEMON_SILENT:
            yield Problem(
                f"service {DAEMON} silent",
                f"{DAEMON} is silent",
                now - silent,
                f"It has sent no heartbeat for {silent:.0f} s: {WITHOUT[DAEMON]}.",
                f"Look at {self.home.log_of(DAEMON)}, and run music-platform status and music-platform doctor.",
            )

    def jobs(self, now: float) -> Iterator[Problem]:
        """Jobs whose last run failed, unless an outage of a service that they need caused it."""
        for watched in WATCHED_JOBS:
            failures = self.store.failures_in_a_row(*watched.names)
            ended = self._shown(failures.ended, now)
            if failures.count and not alerts.caused_by_outage(ended, self.outages, watched.needs):
                yield Problem(
                    f"job {watched.names[0]}",
                    f"{' or '.join(watched.names)} fails",
                    failures.since,
                    f"{failures.count} runs in a row failed: {watched.consequence}.",
                    f"Look at {self.settings.dagster_url}/runs/{failures.last_run}",
                )

    def failed_checks(self, _now: float) -> Iterator[Problem]:
        """Checks that failed when they were last evaluated."""
        for check in self.store.failed_checks():
            asset = check.key.asset_key.to_user_string()
            yield Problem(
                f"check {asset}:{check.key.name}",
                f"check {check.key.name} of {asset} failed",
                check.at,
                f"{check.key.name}: {check.description}",
                f"Look at {self.settings.dagster_url}/assets/{asset}?view=checks",
                CRITICAL if check.severe else WARNING,
                f"{{n}} checks of {asset} failed",
            )

    def unevaluated_checks(self, now: float) -> Iterator[Problem]:
        """Checks whose latest run ended without a verdict; the one before stands.

        Of a job that is reported as failing only the blocking checks are named.
        """
        needs = {name: watched.needs for watched in WATCHED_JOBS for name in watched.names}
        failing = {name for w in WATCHED_JOBS if self.store.failures_in_a_row(*w.names).count for name in w.names}
        for check in self.store.unevaluated_checks():
            needed = needs.get(check.job, WITHOUT.keys() - {WEBSERVER, DASHBOARD})
            if alerts.caused_by_outage(self._shown(check.at, now), self.outages, needed):
                continue
            if check.blocking or check.job not in failing:
                asset = check.key.asset_key.to_user_string()
                yield Problem(
                    f"unevaluated {asset}:{check.key.name}",
                    f"check {check.key.name} of {asset} could not be evaluated",
                    check.at,
                    f"{check.key.name}: its run ended without a result. The last result before it stands.",
                    f"Look at {self.settings.dagster_url}/runs/{check.run_id}",
                    CRITICAL if check.blocking else WARNING,
                    f"{{n}} checks of {asset} could not be evaluated",
                )

    def freshness(self, _now: float) -> Iterator[Problem]:
        """Marts that violate their freshness policy."""
        for mart, since in sorted(self.store.stale_marts().items()):
            yield Problem(
                f"freshness {mart}",
                f"mart {mart} is stale",
                since,
                f"{mart} is past its freshness window.",
                f"Look at the ticks of live_sensor and freshness_sensor: {self.settings.dagster_url}/automation",
                group="{n} marts are stale",
            )

    def lag(self, now: float) -> Iterator[Problem]:
        """Topics that cannot be read, a backlog before RAW that has waited too long, and transactions that hang."""
        if KAFKA in self.down:
            yield from self._late(None, now)
            raise UnknownNowError
        try:
            offsets, kafka = read_kafka_backlog(self.settings)
            self.seen = look_at_kafka(self.settings, self.seen, offsets, now)
        except BrokerUnreachableError:
            yield from self._late(None, now)
            if self._kafka_went_down():
                raise UnknownNowError from None  # The next look reports it.
            raise
        for topic, trouble in sorted(offsets.troubles.items()):
            yield Problem(
                f"topic {topic}",
                f"topic {topic} cannot be read",
                now,
                str(trouble),
                f"The others are read. Look at the last run of ingest: {self.settings.dagster_url}",
                group="{n} topics cannot be read",
            )
        yield from self._late(kafka, now)
        limit = self.settings.lag_limit_seconds
        for where, (offset, since) in self.seen.held_longer_than(limit, now).items():
            topic, _, number = where.rpartition("/")
            yield Problem(
                f"transaction {where}",
                f"a transaction holds back {where}",
                since,
                f"{where}: an open transaction keeps every record from offset {offset} on from being read, also those "
                "of other producers. The backlog does not count them.",
                "If its producer is gone, find it, then abort it with the same tool: kafka-transactions.sh "
                f"--bootstrap-server {self.settings.bootstrap_servers} find-hanging --topic {topic} "
                f"--partition {number}",
                group="transactions hold back {n} partitions",
            )

    def _late(self, kafka: Backlog | None, now: float) -> Iterator[Problem]:
        """A backlog before RAW that has waited too long. Without Kafka's (None) it is the lake's alone."""
        loaded, limit = self.store.recorded_version(), self.settings.lag_limit_seconds
        lake, unloaded = read_lake_backlog(self.settings, loaded), oldest_unloaded_commit(self.settings, loaded)
        in_lake = 0.0 if unloaded is None else now - self._shown(unloaded, now)
        in_kafka = self.seen.waiting_seconds(now) if kafka else 0.0
        if (seconds := max(in_lake, in_kafka)) > limit:
            in_both = (
                f"{kafka.count} records are waiting in Kafka and {lake.count} in the lake"
                if kafka
                else (f"{lake.count} records are waiting in the lake")
            )
            yield Problem(
                "lag",
                "events arrive late in RAW",
                now - seconds,
                f"{in_both}, the oldest for {seconds:.0f} s. LAG_LIMIT_SECONDS is {limit}.",
                f"Look at the ticks of lag_sensor: {self.settings.dagster_url}/automation",
            )

    def _kafka_went_down(self) -> bool:
        """Whether the broker went down since the services were looked at, though it may be back already."""
        service = LocalStack(self.settings).status().get(KAFKA)
        return bool(self._lacks(KAFKA)) or (service is not None and service.pid != self._pids.get(KAFKA))

    def producers(self, now: float) -> Iterator[Problem]:
        """Topics without new records for too long. The lag sensor observes a topic when its end offsets move."""
        newest = self._shown(self.store.last_topic_movement() or now, now)
        if now - newest > self.settings.source_silent_hours * 3600:
            yield Problem(
                "source",
                "no events arrive",
                newest,
                "No topic has had a new record since then. SOURCE_SILENT_HOURS is "
                f"{self.settings.source_silent_hours:g}.",
                "Look at the producers, and at the ticks of lag_sensor, which reports the topics: "
                f"{self.settings.dagster_url}/automation",
                WARNING,
            )

    def ticks(self, now: float) -> Iterator[Problem]:
        """Sensors and schedules that fail when they are evaluated."""
        for failing in self.store.failing_ticks():
            if not alerts.caused_by_outage(self._shown(failing.ended, now), self.outages, {CODE, DAEMON}):
                yield Problem(
                    f"ticks {failing.name}",
                    f"{failing.name} fails",
                    failing.since,
                    f"Its ticks fail, so it starts no run: {_short(failing.error, self.settings)}",
                    f"Look at its ticks: {self.settings.dagster_url}/automation",
                )

    def disks(self, now: float) -> Iterator[Problem]:
        """Disks of the home and of a local lake that fill up."""
        settings = self.settings
        yield from disk_problems(
            local_disks(settings), settings.disk_warning_percent, settings.disk_critical_percent, now
        )


@dataclass(frozen=True)
class Source:
    """A source: what it reads, in words that follow "the watch cannot read", and how it finds problems."""

    reads: str
    find: Callable[[Looker, float], Iterable[Problem]]


#: In this order: the services first, because outages explain what the others see.
SOURCES = (
    Source("the state of the services", Looker.services),
    Source("whether Spark answers", Looker.spark),
    Source("the daemon's heartbeats", Looker.heartbeats),
    Source("the runs", Looker.jobs),
    Source("the results of the checks", Looker.failed_checks),
    Source("the runs of the checks", Looker.unevaluated_checks),
    Source("the freshness of the marts", Looker.freshness),
    Source("the lag from Kafka through the lake to RAW", Looker.lag),
    Source("the movement of the topics", Looker.producers),
    Source("the ticks of sensors and schedules", Looker.ticks),
    Source("the free space of the disks", Looker.disks),
)


def blind(source: Source, error: Exception, settings: Settings, now: float) -> Problem:
    """The problem that a source could not be read."""
    return Problem(
        f"blind {source.reads}",
        f"the watch cannot read {source.reads}",
        now,
        f"{source.reads}: {_first_line(error, settings)}",
        f"What it would report is unknown. Look at {Home(settings.home).log_of(WATCH)}, and run music-platform doctor.",
        group="the watch cannot read {n} of its sources",
    )


def _first_line(error: Exception, settings: Settings) -> str:
    """What an error says, without the settings' secrets: it goes to people by way of messengers."""
    said = _short(str(error), settings) or "no details"
    return said if isinstance(error, PlatformError) else f"{type(error).__name__}: {said}"


def _short(text: str, settings: Settings) -> str:
    lines = without_secrets(settings, text).strip().splitlines()
    return lines[0][:SAID_CHARACTERS] if lines else ""
