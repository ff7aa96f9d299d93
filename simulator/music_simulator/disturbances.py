"""From pages to records: which records each page produces, and what goes wrong with some of them on their way.

Whether an event is broken, late or duplicated is drawn from its own identity (seed, user, session, item, kind), so it
is the same in every run that contains the event. The copies of an event have the same bytes: a broken event is broken
in all of them. Delays affect only the delivery, never the event's own time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from music_platform.contracts.events import AUTH, LISTEN, PAGE_VIEW, STATUS_CHANGE
from music_simulator.behaviour import NEXT_SONG, PLAYBACK_END, STATES
from music_simulator.clock import DAY
from music_simulator.options import BAD_WEEK, BAD_WEEK_DAYS, BAD_WEEK_SHARES, Options
from music_simulator.randomness import F64, U64, hashed, key_of, mix, uniform, unit
from music_simulator.sessions import PAGE, Pages

#: The kinds of events; a kind's number is its index here.
KINDS = (PAGE_VIEW, LISTEN, STATUS_CHANGE, AUTH)
#: What is wrong with a record.
VALID, MALFORMED, INVALID = 0, 1, 2
#: Why a record is delivered later than it should be.
ON_TIME, OUT_OF_ORDER, LATE = 0, 1, 2
#: What is wrong with the clock of a session: it is FAST_SECONDS fast, or was RESET_TO (epoch) when the run started.
RIGHT_CLOCK, FAST_CLOCK, RESET_CLOCK = 0, 1, 2
FAST_SECONDS, RESET_TO = 22 * 3600, 1_262_304_000
#: Delays in seconds: out of order up to five minutes, late from an hour to three days, copies soon or within a day.
MAX_OUT_OF_ORDER, MIN_LATE, MAX_LATE = 300, 3600, 3 * DAY
MAX_COPY_SOON, MAX_COPY, COPY_SOON_SHARE = 5, DAY, 0.7

#: A record before it is rendered: its page, and what belongs to the record itself. `due`: second of its delivery.
#: `identity`: 64 bits that identify the event. `copy`: 0 for the original, 1 for its duplicate.
RECORD = np.dtype([
    *PAGE.descr, ("due", "i8"), ("kind", "i1"), ("identity", "u8"), ("fault", "i1"), ("delay", "i1"), ("copy", "i1"),
    ("version", "i1"), ("unknown", "?"), ("clock", "i1"),
])  # fmt: skip
Records = npt.NDArray[np.void]

_IS_SONG = np.array([state.page == NEXT_SONG for state in STATES])
_IS_PLAYBACK_END = np.array([state.page == PLAYBACK_END for state in STATES])
_CHANGES_LEVEL = np.array([state.page in ("Submit Upgrade", "Submit Downgrade") for state in STATES])


@dataclass(frozen=True)
class Disturbances:
    """Creates the records of a run."""

    options: Options

    def records(self, pages: Pages) -> Records:
        """All records of these pages, duplicates included, in no particular order."""
        state = pages["state"]
        by_kind = (
            np.arange(len(pages)),
            np.flatnonzero(_IS_SONG[state]),
            np.flatnonzero(_CHANGES_LEVEL[state]),
            np.flatnonzero(pages["login"]),
        )
        page = np.concatenate(by_kind)
        out = np.zeros(len(page), dtype=RECORD)
        source = pages[page]
        for name in PAGE.names or ():
            out[name] = source[name]
        out["kind"] = np.repeat(np.arange(4), [len(of_kind) for of_kind in by_kind])
        out["identity"] = self._identity(out)
        out["version"] = self._version(out)
        return self._disturbed(out[(out["version"] >= 3) | ~_IS_PLAYBACK_END[out["state"]]])

    def _identity(self, records: Records) -> U64:
        parts = records["who"].astype(np.uint64)
        for name, bits in (("session", 20), ("item", 15), ("kind", 2)):
            parts = (parts << np.uint64(bits)) | records[name].astype(np.uint64)
        return hashed(key_of(self.options.seed ^ (self.options.first_user << 1), "event"), parts)

    def _version(self, records: Records) -> npt.NDArray[np.int64]:
        """All events of a session have the same version, since one client sends them."""
        session = (records["who"].astype(np.uint64) << np.uint64(20)) | records["session"].astype(np.uint64)
        u = uniform(key_of(self.options.seed, "version"), session)
        return np.where(u < self.options.v3, 3, np.where(u < self.options.v3 + self.options.v2, 2, 1))

    def _disturbed(self, records: Records) -> Records:
        o, identity = self.options, records["identity"]

        def chance(purpose: int) -> F64:
            return unit(mix(identity ^ mix(np.full(1, purpose, dtype=np.uint64))))

        bad_week = BAD_WEEK in o.scenarios

        def share(name: str) -> F64 | float:
            """The share of a disturbance for each record."""
            usual: float = getattr(o, name)
            if not bad_week:
                return usual
            first, end = BAD_WEEK_DAYS
            bad = (records["second"] >= first * DAY) & (records["second"] < end * DAY)
            return np.where(bad, max(usual, BAD_WEEK_SHARES[name]), usual)

        due = records["second"].copy()
        if o.malformed or o.invalid or bad_week:
            u, malformed = chance(1), share("malformed")
            broken = np.where(u < malformed, MALFORMED, INVALID)
            records["fault"] = np.where(u < malformed + share("invalid"), broken, VALID)
        if o.unknown_fields or bad_week:
            records["unknown"] = chance(2) < share("unknown_fields")
        if o.wrong_clocks:
            session = (records["who"].astype(np.uint64) << np.uint64(20)) | records["session"].astype(np.uint64)
            u = uniform(key_of(o.seed, "wrong clock"), session)
            wrong = np.where(u < o.wrong_clocks / 2, FAST_CLOCK, RESET_CLOCK)
            records["clock"] = np.where(u < o.wrong_clocks, wrong, RIGHT_CLOCK)
        if o.late or o.out_of_order or bad_week:
            u, far = chance(3), chance(4)
            late = u < share("late")
            astray = ~late & (u < share("late") + share("out_of_order"))
            records["delay"] = np.where(late, LATE, np.where(astray, OUT_OF_ORDER, ON_TIME))
            due += np.where(late, MIN_LATE + (far * (MAX_LATE - MIN_LATE)).astype(np.int64), 0)
            due += np.where(astray, 1 + (far * MAX_OUT_OF_ORDER).astype(np.int64), 0)
        records["due"] = due
        if o.duplicates or bad_week:
            copies = records[chance(5) < share("duplicates")]
            copies["copy"] = 1
            u, soon = unit(mix(copies["identity"] ^ np.uint64(6))), unit(mix(copies["identity"] ^ np.uint64(7)))
            pause = u * np.where(soon < COPY_SOON_SHARE, MAX_COPY_SOON, MAX_COPY)
            copies["due"] += pause.astype(np.int64)
            records = np.concatenate([records, copies])
        # Anything due after the end of the run is delivered at its end.
        records["due"] = np.minimum(records["due"], o.days * DAY)
        return records


def claimed_seconds(records: Records, start_epoch: int) -> npt.NDArray[np.int64]:
    """The time that each record's client claims, in seconds since the start of the run."""
    second, clock = records["second"].astype(np.int64), records["clock"]
    reset = second + (RESET_TO - start_epoch)
    claimed: npt.NDArray[np.int64] = np.where(
        clock == FAST_CLOCK, second + FAST_SECONDS, np.where(clock == RESET_CLOCK, reset, second)
    )
    return claimed


def delivery_order(records: Records) -> npt.NDArray[np.intp]:
    """Order of delivery: by due second, then user, item, kind and copy. The number of workers does not change it.

    63 bits: 19 for the second (of one window), 26 for the user, 15, 2 and 1 for the rest.
    """
    key = records["due"] - (int(records["due"].min()) if len(records) else 0)
    for name, bits in (("who", 26), ("item", 15), ("kind", 2), ("copy", 1)):
        key = (key << bits) | records[name]
    return np.argsort(key, kind="stable")
