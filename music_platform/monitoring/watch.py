"""The watch: looks at every source of problems, alerts people, and ends runs that wait for a service that hangs.

It is a separate process and not a sensor, because it must also report a daemon that is down. Each source and each
receiver is on its own: one that fails takes no other with it.
"""

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache

from music_platform.clock import StepDetector, seconds_since
from music_platform.home import Home
from music_platform.monitoring import alerts, delivery
from music_platform.monitoring.alerts import WARNING, Message, Problem, State
from music_platform.monitoring.sources import SOURCES, Looker, Source, UnknownNowError, blind
from music_platform.orchestration.store import Store, open_store
from music_platform.settings import Settings

#: Failed sends in a row after which a receiver is a problem, which the other receivers get.
DEAD_AFTER = 3


class Watch:
    """Looks repeatedly. Open problems, and what each receiver was told, are kept in a file, so that a restarted watch
    reports nothing twice."""

    def __init__(self, settings: Settings, store: Callable[[], Store], sources: Sequence[Source] = SOURCES) -> None:
        self.settings = settings
        self.looker = Looker(settings, store)
        self._sources = sources
        self._file = Home(settings.home).root / "alerts.json"
        self._pinged = float("-inf")
        #: The state that the file could not take.
        self._unsaved: State | None = None

    def look(self, now: float, stepped: float = 0.0) -> list[Message]:
        """One look: read, decide, send. Returns what at least one receiver got.

        `stepped`: seconds by which the clock was set since the last look.
        """
        receivers = delivery.receivers(self.settings)
        kept = self._unsaved or self._read(list(receivers))
        before = alerts.by_the_clock(kept, stepped, now)
        self.looker.note_step(stepped, now)
        problems, unknown, complete = self._problems(before, now)
        settle = self.settings.alert_settle_seconds
        state = alerts.observe(before, [*problems, *_dead(before, now)], now, settle, unknown)
        state = replace(state, outages=self.looker.outages, seen=self.looker.seen)
        sent: dict[Message, None] = {}
        for name, send in receivers.items():
            for notice in alerts.notices(state, name, now, settle):
                if not send(notice.message):
                    state = alerts.not_sent(state, name, now)
                    break
                state = alerts.sent(state, name, notice)
                sent[notice.message] = None
        state = alerts.without_resolved(state, now, settle)
        if state != kept or self._unsaved:
            self._save(state)
        self._end_hanging_runs(now)
        if complete and not any(receiver.failures for receiver in state.receivers.values()):
            self._ping(now)
        return list(sent)

    def _problems(self, before: State, now: float) -> tuple[list[Problem], set[str], bool]:
        """What the sources find, those that cannot say anything now, and whether each could be read. A failure to read
        one is a problem itself."""
        found: list[Problem] = []
        unknown: set[str] = set()
        complete = True
        self.looker.outages, self.looker.seen = before.outages, before.seen
        for source in self._sources:
            try:
                # One that fails half-way has still found what it has found.
                for problem in source.find(self.looker, now):
                    found.append(alerts.from_source(problem, source.reads))
            except UnknownNowError:
                unknown.add(source.reads)
            except Exception as error:
                problem = blind(source, error, self.settings, now)
                if problem.key not in before.open:
                    print(f"{problem.what}:", file=sys.stderr)
                    traceback.print_exc()
                complete = False
                unknown.add(source.reads)
                found.append(problem)
            self.looker.outages = alerts.update_outages(before.outages, self.looker.down, now)
        return found, unknown, complete

    def _end_hanging_runs(self, now: float) -> None:
        try:
            for run_id in self.looker.end_hanging_runs(now):
                print(f"run {run_id} was ended: a service that it needs does not answer", file=sys.stderr, flush=True)
        except Exception as error:  # Dagster's store is away, which a source reports.
            print(f"no run could be ended: {type(error).__name__}", file=sys.stderr, flush=True)

    def _read(self, receivers: Sequence[str]) -> State:
        try:
            return alerts.read_state(self._file, receivers)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            damaged = self._file.with_suffix(".damaged")
            self._file.replace(damaged)
            print(f"{self._file} cannot be read ({error!r}); it is now {damaged}", file=sys.stderr, flush=True)
            return State()

    def _save(self, state: State) -> None:
        """Keep the state in the file, or in memory while the disk is full: nothing is reported twice."""
        try:
            alerts.write_state(self._file, state)
            self._unsaved = None
        except OSError as error:
            self._unsaved = state
            print(f"{self._file} could not be written: {error}", file=sys.stderr, flush=True)

    def _ping(self, now: float) -> None:
        """Tell the dead man's switch that this look was complete."""
        url = self.settings.watch_ping_url
        if url and seconds_since(self._pinged, now) >= delivery.PING_SECONDS and delivery.ping(url):
            self._pinged = now


def _dead(state: State, now: float) -> list[Problem]:
    """Receivers that have not taken a message for a while."""
    return [
        Problem(
            alerts.receiver_key(name),
            "a receiver of alerts does not answer",
            now,
            f"{receiver.failures} messages in a row could not be sent to one of ALERT_URLS.",
            "Look at the log of the watch: music-platform logs watch",
            WARNING,
        )
        for name, receiver in state.receivers.items()
        if receiver.failures >= DEAD_AFTER
    ]


def run(settings: Settings) -> None:
    """Look until the process ends."""
    home = Home(settings.home)
    with ExitStack() as opened:
        store = cache(lambda: opened.enter_context(open_store(settings, home.dbt_manifest)))
        watch, clock = Watch(settings, store), StepDetector()
        while True:
            try:
                watch.look(time.time(), clock.seconds())
                home.looked.touch()
            except Exception:  # No look must end the watch. The dead man's switch notices if none succeeds.
                print("the watch failed to look:", file=sys.stderr)
                traceback.print_exc()
            time.sleep(settings.watch_interval_seconds)
