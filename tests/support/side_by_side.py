"""The simulator beside the real eventsim output: the table of docs/explanation/simulator.md.

Run `python -m tests.support.side_by_side` for the table. The real output: 3,000 users, ten days from 2026-11-01,
growth 30 a year. Ours: the same with `--classic`, three seeds, means of the three. Pages that eventsim's configuration
does not have (thumbs, playlist, friend, advert, Skip, Pause, Resume) are left out of ours.
"""

import gzip
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import orjson

from music_simulator.behaviour import MOMENTS, STATES
from music_simulator.clock import DAY
from music_simulator.generation import World
from music_simulator.options import Options
from music_simulator.sessions import Sessions

SEEDS = (1, 2, 3)
RUN = Options(users=3000, start=datetime(2026, 11, 1), days=10, growth=30.0, classic=True)
Event = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the table. The tolerance is a share of eventsim's value, or with `points` an absolute difference."""

    name: str
    tolerance: float
    points: bool = False

    def holds(self, real: float, ours: float) -> bool:
        return abs(ours - real) <= self.tolerance * (1 if self.points else real)


LINES = (
    Line("page views", 0.15), Line("listens", 0.15), Line("logins", 0.15), Line("status changes", 0.35),
    *(Line(f"page mix: {page}, %", t, True) for page, t in (
        ("NextSong", 4), ("Home", 2.5), ("Register", 0.6), ("Submit Registration", 0.4), ("About", 0.4), ("Help", 0.4),
        ("Login", 0.3), ("Logout", 0.3), ("Settings", 0.15), ("Downgrade", 0.15), ("Upgrade", 0.1), ("Error", 0.1),
    )),
    Line("sessions", 0.1), Line("events per session: mean", 0.15), Line("events per session: median", 0.01),
    Line("events per session: 90 of 100 have at most", 0.3), Line("events per session: 99 of 100 have at most", 0.25),
    Line("users with plays", 0.05), Line("plays per user: mean", 0.15), Line("plays per user: median", 0.2),
    Line("plays per user: 90 of 100 have at most", 0.2), Line("plays per user: 99 of 100 have at most", 0.35),
    *(Line(f"page views {h:02d}–{h + 3:02d} h, %", 2.0, True) for h in range(0, 24, 3)),
    Line("plays on weekend days (3 of the 10), %", 4.0, True),
    Line("plays of the top song, %", 0.1, True), Line("plays of the top 10 songs, %", 0.6, True),
    Line("plays of the top 100 songs, %", 1.0, True), Line("plays of the top 1,000 songs, %", 2.5, True),
    Line("plays of the top 3,000 songs, %", 3.0, True), Line("different songs", 0.05),
    Line("listens by paying users, %", 10.0, True), Line("page views by paying users, %", 10.0, True),
    Line("users with plays who pay, %", 3.0, True),
)  # fmt: skip


def figures(pages: list[Event], listens: list[Event], logins: int, changes: int) -> dict[str, float]:
    """All figures of the table, by name."""
    pages = [page for page in pages if page["page"] not in MOMENTS]
    mix = Counter(page["page"] for page in pages)
    sessions = Counter(page["sessionId"] for page in pages)
    users = Counter(listen["userId"] for listen in listens)
    songs = sorted(Counter((x["artist"], x["song"]) for x in listens).values(), reverse=True)
    hours = Counter(page["ts"] // 10_800_000 % 8 for page in pages)
    out: dict[str, float] = {
        "page views": len(pages), "listens": len(listens), "logins": logins, "status changes": changes,
        "sessions": len(sessions), "users with plays": len(users), "different songs": len(songs),
        "plays of the top song, %": 100 * songs[0] / len(listens),
        "plays on weekend days (3 of the 10), %": _percent(_weekend(x["ts"]) for x in listens),
        "listens by paying users, %": _percent(x["level"] == "paid" for x in listens),
        "page views by paying users, %": _percent(x["level"] == "paid" for x in pages),
        "users with plays who pay, %": 100 * len({x["userId"] for x in listens if x["level"] == "paid"}) / len(users),
    }  # fmt: skip
    out |= {f"page mix: {page}, %": 100 * count / len(pages) for page, count in mix.items()}
    out |= {f"page views {3 * h:02d}–{3 * h + 3:02d} h, %": 100 * hours[h] / len(pages) for h in range(8)}
    out |= {f"plays of the top {n:,} songs, %": 100 * sum(songs[:n]) / len(listens) for n in (10, 100, 1000, 3000)}
    for name, counts in (("events per session", sessions), ("plays per user", users)):
        ordered = sorted(counts.values())
        out[f"{name}: mean"], out[f"{name}: median"] = mean(ordered), ordered[len(ordered) // 2]
        for share in (90, 99):
            out[f"{name}: {share} of 100 have at most"] = ordered[len(ordered) * share // 100]
    return out


def _percent(hits: Iterable[bool]) -> float:
    return 100 * mean(hits)


def _weekend(ts: int) -> bool:
    return datetime.fromtimestamp(ts / 1000, UTC).weekday() >= 5


def ours() -> dict[str, float]:
    """Means over the seeds, from the pages before they are rendered."""
    runs = []
    for seed in SEEDS:
        world = World(replace(RUN, seed=seed))
        sessions = Sessions(world.population, world.catalogue, world.clock)
        walked = sessions.advance(RUN.days * DAY)
        titles = world.catalogue.titles
        names = [world.catalogue.artist_names[artist] for artist in world.catalogue.artist_of.tolist()]
        columns = (walked[name].tolist() for name in ("state", "who", "song", "session"))
        times = world.clock.epoch_ms(walked["second"]).tolist()
        pages = [
            {
                "page": STATES[state].page, "level": STATES[state].level, "userId": who, "sessionId": (who, session),
                "artist": names[song], "song": titles[song], "ts": ts,
            }
            for state, who, song, session, ts in zip(*columns, times, strict=True)
        ]  # fmt: skip
        listens = [page for page in pages if page["page"] == "NextSong"]
        changes = sum(page["page"] in ("Submit Upgrade", "Submit Downgrade") for page in pages)
        runs.append(figures(pages, listens, int((walked["login"] > 0).sum()), changes))
    return {name: mean(run.get(name, 0) for run in runs) for name in runs[0]}


def table(real: dict[str, float], simulated: dict[str, float]) -> str:
    """The table in Markdown."""
    rows = ["| figure | eventsim | simulator | tolerance held by a test |", "|---|---|---|---|"]
    for line in LINES:
        tolerance = f"± {line.tolerance:g} points" if line.points else f"± {100 * line.tolerance:g} %"
        rows.append(f"| {line.name} | {_shown(real[line.name])} | {_shown(simulated[line.name])} | {tolerance} |")
    return "\n".join(rows)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def read(folder: Path) -> dict[str, float]:
    """Figures of the real output."""

    def events(topic: str) -> list[Event]:
        with gzip.open(folder / f"{topic}.jsonl.gz") as file:
            return [orjson.loads(line) for line in file]

    logins, changes = len(events("auth_events")), len(events("status_change_events"))
    return figures(events("page_view_events"), events("listen_events"), logins, changes)


if __name__ == "__main__":
    import sys

    print(table(read(Path(sys.argv[1])), ours()))
