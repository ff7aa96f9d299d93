"""Reads the warehouse for all open pages of this process: the state of the marts, and results kept by their builds."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from music_dashboard.frames import frame_of
from music_dashboard.source import NotSetUpError, Source, UnavailableError, open_source
from music_dashboard.state import State, state_of

QUERIES = Path(__file__).parent / "queries"

#: Results that are kept. A result has at most some thousand rows.
MOST_RESULTS = 500
#: Seconds for which the state is taken as it is while a person clicks and nothing says that it has changed: a build by
#: a dbt in a shell says nothing.
STATE_SECONDS = 15.0
#: Statements at once.
AT_ONCE = 4


@dataclass(frozen=True)
class Request:
    """A query with its values, and the models that it reads."""

    statement: str
    values: tuple[object, ...]
    models: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What a page starts from: the state, and why it is not today's (`complaint`). No state: there never was one."""

    state: State | None
    complaint: str | None = None
    is_set_up: bool = True


@cache
def statement(name: str) -> str:
    """The SQL of a file in queries/, without its comments: they are for who reads the file."""
    lines = (QUERIES / f"{name}.sql").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--")).strip()


class Reader:
    """One for all sessions of the process. `source` is opened at the first use."""

    def __init__(self, opened: Callable[[], Source] = open_source, clock: Callable[[], float] = time.monotonic) -> None:
        self._open, self._clock = opened, clock
        self._source: Source | None = None
        self._lock = threading.Lock()
        self._results: OrderedDict[object, pd.DataFrame] = OrderedDict()
        self._look = Look(None)
        self._looked: tuple[object, float] = (object(), float("-inf"))
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="warehouse")

    @property
    def source(self) -> Source:
        """The warehouse."""
        if self._source is None:
            self._source = self._open()
        return self._source

    def changed_since(self, signal: object) -> bool:
        """Whether a page that was drawn at this signal must be drawn again. Asks the warehouse nothing."""
        return self._look.complaint is not None or self.source.signal() != signal

    def look(self) -> Look:
        """The state of the marts. One statement, unless it was read a moment ago and nothing has changed since.

        Where the warehouse does not answer, the last known state with a complaint.
        """
        with self._lock:
            signal, now = self.source.signal(), self._clock()
            known, at = self._looked
            if known == signal and now - at < STATE_SECONDS and self._look.complaint is None:
                return self._look
            try:
                # In the pool, whose threads keep their sessions: those of pages come and go.
                _, rows = self._pool.submit(self.source.rows, statement("state")).result()
                self._look = Look(state_of(rows))
            except NotSetUpError:
                self._look = Look(None, is_set_up=False)
            except UnavailableError as error:
                self._look = Look(self._look.state, str(error))
            except Exception as error:
                print(f"dashboard: {type(error).__name__}: {error}", flush=True)
                self._look = Look(
                    self._look.state, "The warehouse refused to say what is built. This page tries again."
                )
            self._looked = (signal, now)
            return self._look

    def kept(self, request: Request, state: State) -> bool:
        """Whether the result is there already."""
        return _key(request, state) in self._results

    def fetch(self, requests: Sequence[Request], state: State) -> list[pd.DataFrame | Exception]:
        """The result of each request, or what went wrong with it, in order. Equal requests are asked once."""
        wanted = list(dict.fromkeys(request for request in requests if not self.kept(request, state)))
        if self.source.parallel:
            asked = dict(zip(wanted, self._pool.map(self._ask, wanted), strict=True))
        else:
            asked = {request: self._ask(request) for request in wanted}
        found: list[pd.DataFrame | Exception] = []
        with self._lock:
            for request, result in asked.items():
                if isinstance(result, pd.DataFrame):
                    self._results[_key(request, state)] = result
            for request in requests:
                known = self._results.get(_key(request, state))
                if known is not None:
                    self._results.move_to_end(_key(request, state))
                found.append(known if known is not None else asked[request])
            while len(self._results) > MOST_RESULTS:
                self._results.popitem(last=False)
        return found

    def _ask(self, request: Request) -> pd.DataFrame | Exception:
        try:
            return frame_of(*self.source.rows(request.statement, request.values))
        except Exception as error:
            return error


def _key(request: Request, state: State) -> object:
    return request.statement, request.values, state.key(request.models)
