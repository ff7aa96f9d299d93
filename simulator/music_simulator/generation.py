"""From options to batches of records in order of delivery, in one or several processes.

The users are divided into one part per worker. A part simulates its users window by window, renders their records and
hands them over. The parts' batches are merged by (due, user, item, …), an order that does not depend on the parts.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from operator import itemgetter

import numpy as np

from music_simulator.accounts import planted_pages_per_user_and_day
from music_simulator.catalogue import Catalogue
from music_simulator.clock import DAY, Clock
from music_simulator.disturbances import RECORD, Disturbances, Records, delivery_order
from music_simulator.options import PAGES_PER_USER_AND_DAY, Options
from music_simulator.sessions import LEAD_SECONDS, Sessions
from music_simulator.users import Population
from music_simulator.wire import Wire

#: Intended pages per window: many, since arrays are faster in bulk, or few, where there is a schedule to keep.
PAGES_PER_WINDOW, PAGES_PER_PACED_WINDOW = 60_000, 8_000
#: Shortest and longest window in seconds. The order of delivery has 19 bits for the seconds of a window.
SHORTEST_WINDOW, LONGEST_WINDOW = 20, 5 * DAY


@dataclass
class Batch:
    """Records in order of delivery, with their texts and, if asked for, message keys."""

    records: Records
    texts: list[bytes]
    keys: list[bytes]

    def __len__(self) -> int:
        return len(self.texts)

    def packed(self) -> tuple[Records, bytes, bytes]:
        """For transfer between processes, where one long text is much cheaper than many. No text has a line break."""
        return self.records, b"\n".join(self.texts), b"\n".join(self.keys)

    @classmethod
    def unpacked(cls, records: Records, texts: bytes, keys: bytes) -> "Batch":
        """Restore a packed batch."""
        return cls(records, texts.split(b"\n") if len(records) else [], keys.split(b"\n") if keys else [])


@dataclass(frozen=True)
class Plan:
    """How to generate. Unlike the options, none of it changes an event or its place in the order."""

    workers: int = 1
    with_keys: bool = False
    paced: bool = False


class World:
    """What all parts of a run share."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.clock = Clock(options.start, options.days)
        self.population = Population(options)
        self.catalogue = Catalogue(options)

    def windows(self, paced: bool) -> list[int]:
        """Ends of the windows in seconds of the run. The last window is for what is delivered at the very end."""
        wanted = PAGES_PER_PACED_WINDOW if paced else PAGES_PER_WINDOW
        o = self.options
        pages = self.population.size * PAGES_PER_USER_AND_DAY + o.users * planted_pages_per_user_and_day(o.scenarios)
        width = wanted * DAY / pages
        width = int(min(max(width, SHORTEST_WINDOW), LONGEST_WINDOW))
        end = self.options.days * DAY
        return [*range(width, end, width), end, end + 1]


class Part:
    """One part of the users, with the records that are not due yet."""

    def __init__(self, world: World, plan: Plan, part: int) -> None:
        self._world, self._plan = world, plan
        self._sessions = Sessions(world.population, world.catalogue, world.clock, part, plan.workers)
        self._disturbances = Disturbances(world.options)
        self._wire = Wire(world.population, world.catalogue, world.clock)
        self._waiting = np.empty(0, dtype=RECORD)

    def batches(self) -> Iterator[Batch]:
        """One batch for each window."""
        windows = self._world.windows(self._plan.paced)
        for lead in range(windows[0] - LEAD_SECONDS, 0, windows[0]):
            self._sessions.advance(lead)
        end = self._world.options.days * DAY
        for until in windows:
            pages = self._sessions.advance(min(until, end))
            records = np.concatenate([self._waiting, self._disturbances.records(pages)])
            due = records["due"] < until
            self._waiting = records[~due]
            records = records[due]
            records = records[delivery_order(records)]
            texts = self._wire.render(records, self._sessions.registered_at)
            yield Batch(records, texts, self._wire.keys(records) if self._plan.with_keys else [])

    def registrations(self) -> dict[int, int]:
        """Number → second of registration of the guests who have registered so far."""
        return self._sessions.registrations()

    def departures(self) -> dict[int, int]:
        """Number → second of those who have left for good, some of them after the last window."""
        return self._sessions.departures()


def merged(parts: list[Batch]) -> Batch:
    """Merge the batches of one window from all parts."""
    if len(parts) == 1:
        return parts[0]
    records = np.concatenate([part.records for part in parts])
    order = delivery_order(records)
    texts = [text for part in parts for text in part.texts]
    keys = [key for part in parts for key in part.keys]
    if len(order) > 1:
        pick = itemgetter(*order.tolist())
        texts, keys = list(pick(texts)), list(pick(keys)) if keys else []
    return Batch(records[order], texts, keys)


class Generation:
    """All batches of a run. Leaving it as a context manager ends its worker processes."""

    def __init__(self, world: World, plan: Plan) -> None:
        self._world, self._plan = world, plan
        self._registrations: dict[int, int] = {}
        self._departures: dict[int, int] = {}
        self._part: Part | None = None
        self._workers: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []
        if plan.workers == 1:
            self._part = Part(world, plan, 0)
            return
        # Not "fork": the child of a process with threads, such as a test with a Spark session, may crash.
        context = multiprocessing.get_context("spawn")
        for part in range(plan.workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(world, plan, part, theirs), daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, ours))

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: object) -> None:
        for process, connection in self._workers:
            connection.close()
            process.terminate()
            process.join()

    def batches(self) -> Iterator[Batch]:
        """Batch after batch, in order of delivery. Some may be empty."""
        if self._part is not None:
            yield from self._part.batches()
            return
        for _ in self._world.windows(self._plan.paced):
            yield merged([self._received(connection) for _, connection in self._workers])

    def registrations(self) -> dict[int, int]:
        """Number → second of registration of the guests who registered up to the last batch that was taken."""
        if self._part is not None:
            return self._part.registrations()
        return self._registrations

    def departures(self) -> dict[int, int]:
        """Number → second of the users who left for good, as far as that is decided by the last batch taken."""
        return self._part.departures() if self._part is not None else self._departures

    def _received(self, connection: Connection) -> Batch:
        try:
            packed, new, gone = connection.recv()
        except EOFError:
            raise RuntimeError("a simulator worker process died; run with --workers 1 to see its error") from None
        self._registrations.update(new)
        self._departures.update(gone)
        return Batch.unpacked(*packed)


def _work(world: World, plan: Plan, part: int, out: Connection) -> None:
    """A worker process: sends batch after batch, and waits while the pipe is full. The parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    work, sent, known = Part(world, plan, part), set[int](), set[int]()
    try:
        for batch in work.batches():
            new = {who: second for who, second in work.registrations().items() if who not in sent}
            sent.update(new)
            gone = {who: second for who, second in work.departures().items() if who not in known}
            known.update(gone)
            out.send((batch.packed(), new, gone))
    except (BrokenPipeError, ConnectionResetError):
        return
