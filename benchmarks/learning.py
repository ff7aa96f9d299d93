"""How much of what was planted is found: recommendations beside their baselines and the oracle.

    python -m benchmarks.learning [--users 20000] [--songs 10000] [--days 60] [--seeds 7 8]
    python -m benchmarks.learning --millions 10

The listeners of the simulator are walked without rendering their events: a listen with its song, source and seconds
heard is what gold.streams would have. The model learns from all but the last week. On that week everybody who streamed
is judged, songs that they know included. The oracle knows the planted taste and traits of each user, the songs of their
collection and what is popular, but not what the user will do: no model can expect more. With the same users as
eventsim's (`--classic`) there is no taste, and the gate has to refuse the model.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from music_platform.learning import recommendations as r
from music_platform.learning.evaluation import Ranking, ranked
from music_platform.learning.listens import Listens, day_number
from music_simulator import chain
from music_simulator import listeners as planted
from music_simulator.airplay import Airplay
from music_simulator.clock import DAY
from music_simulator.generation import World
from music_simulator.options import Options
from music_simulator.randomness import keys
from music_simulator.sessions import Pages, Sessions

START = datetime(2026, 3, 2)
STREAM_SECONDS = 30


def walk(options: Options) -> Pages:
    """The pages of a run, in order of user, session and item."""
    world = World(options)
    sessions = Sessions(world.population, world.catalogue, world.clock)
    pages = np.concatenate([sessions.advance(until) for until in range(DAY, options.days * DAY + 1, DAY)])
    return in_order(pages)


def in_order(pages: Pages) -> Pages:
    """Pages in order of user, session and item."""
    return pages[np.lexsort((pages["item"], pages["session"], pages["who"]))]


def songs_and_ends(pages: Pages) -> tuple[Pages, Pages, npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """The songs among pages in order; the page that ends each; whether there is one; and the songs' positions."""
    at = np.flatnonzero(chain.IS_SONG[pages["state"]])
    ends = np.flatnonzero(~np.isnan(pages["listened"]))
    where = np.searchsorted(ends, at, side="right").clip(max=len(ends) - 1)
    song, end = pages[at], pages[ends[where]]
    known = (end["who"] == song["who"]) & (end["session"] == song["session"]) & (ends[where] > at)
    return song, end, known, at


def heard(options: Options) -> Pages:
    """The streams of a run, as pages."""
    song, end, known, _ = songs_and_ends(walk(options))
    return song[known & (end["listened"] >= STREAM_SECONDS)]


def user_ids(who: npt.NDArray[np.integer]) -> npt.NDArray[np.str_]:
    """Ids of users, in the order of their numbers."""
    return np.char.zfill(who.astype(str), 8)


def streams(options: Options) -> pa.Table:
    """The streams of a run, as the assets read them from gold.streams."""
    one, ids = heard(options), np.array(World(options).catalogue.song_ids)
    return pa.table({
        "user_id": user_ids(one["who"]),
        "song_key": ids[one["song"]],
        "activity_date": dates(one["second"]),
        "is_collected": (one["source"] == planted.LIBRARY) & (not options.classic),
        "plays": np.ones(len(one), dtype=np.int64),
    })  # fmt: skip


def dates(seconds: npt.NDArray[np.int64]) -> pa.Array:
    """Dates of simulated seconds."""
    return pa.array((day_number(START.date()) + seconds // DAY).astype(np.int32), pa.int32()).cast(pa.date32())


class Oracle:
    """The probability that the next stream of a user is of each song, from what was planted, on one day."""

    def __init__(self, options: Options, day: int) -> None:
        self._seed, self._day = options.seed, day
        world = World(options)
        self._airplay = Airplay(options, world.catalogue)
        weights = self._airplay._weights(day)
        self._all = weights / weights.sum()
        self._in_scene = weights / np.bincount(self._airplay.scene_of, weights)[self._airplay.scene_of]
        self._artist = world.catalogue.artist_of
        self._songs_of_artist = np.bincount(self._artist)
        self._released = self._airplay.released <= day

    def probabilities(self, who: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Users × songs. An album continues what was played before, in expectation."""
        t = planted.traits(self._seed, who, self._airplay.scene_shares())
        scene = self._airplay.scene_of
        taste = np.zeros((len(who), len(self._all)))
        mine = np.zeros_like(taste, dtype=bool)
        for nth in range(planted.TASTES):
            here = t.scenes[:, nth, None] == scene
            taste += t.weights[:, nth, None] * here
            mine |= here
        taste *= self._in_scene
        library, mainstream = t.library[:, None], t.mainstream[:, None]
        collection = self._collections(who, t)
        shares = dict(
            zip(("playlist", "radio", "search", "album"), np.diff(np.r_[0, planted._OTHER_SHARES]), strict=True)
        )
        programmed = mainstream * self._all + (1 - mainstream) * taste
        played = (shares["playlist"] + shares["radio"]) * programmed + shares["search"] * self._all
        before = library * collection + (1 - library) * played / (1 - shares["album"])
        of_artist = np.stack([np.bincount(self._artist, row, minlength=len(self._songs_of_artist)) for row in before])
        album = of_artist[:, self._artist] / self._songs_of_artist[self._artist] * self._released

        def heard(source: str) -> npt.NDArray[np.float64]:
            own, other = (
                1 - planted.EARLY_SHARE * planted.skip_chance(np.full(len(who), liking), t.fussiness)
                for liking in planted.LIKING.get(source, (planted.LIKING_OF_COLLECTION,) * 2)
            )
            return np.where(mine, own[:, None], other[:, None])

        return library * collection * heard("library") + (1 - library) * (
            (shares["playlist"] * heard("playlist") + shares["radio"] * heard("radio")) * programmed
            + shares["search"] * heard("search") * self._all
            + shares["album"] * heard("album") * album
        )

    def _collections(self, who: npt.NDArray[np.int64], t: planted.Traits) -> npt.NDArray[np.float64]:
        out = np.zeros((len(who), len(self._all)))
        until = np.cumsum(t.weights, axis=1)
        for slot in range(planted.LARGEST_COLLECTION):
            has = np.flatnonzero(t.collection > slot)
            size = t.collection[has]
            share = np.sqrt((slot + 1) / size) - np.sqrt(slot / size)
            song = planted.collection_song(
                keys(self._seed, "collection", who[has]), np.full(len(has), slot, dtype=np.uint64),
                np.full(len(has), self._day * DAY), t.scenes[has], until[has], self._airplay,
            )  # fmt: skip
            np.add.at(out, (has, song), share)
        return out


def oracle_ranking(options: Options, listens: Listens, end: int) -> Ranking:
    """The oracle's lists, measured like the model's."""
    week = listens.between(end - r.WEEK, end).matrix()
    users = np.flatnonzero(np.asarray(week.getnnz(axis=1)) > 0)
    oracle = Oracle(options, end - r.WEEK // 2 - day_number(START.date()) - 1)
    numbers = {song: n for n, song in enumerate(World(options).catalogue.song_ids)}
    column = np.array([numbers[song] for song in listens.songs.tolist()])
    found = []
    for at in range(0, len(users), r.CHUNK):
        who = listens.users[users[at : at + r.CHUNK]].astype(np.int64)
        found.append(r.best(oracle.probabilities(who)[:, column].astype(np.float32), r.LENGTH))
    return ranked(np.vstack(found), week[users])


def measure(options: Options) -> dict[str, object]:
    """Judge the model on a run, and print the table."""
    listens = Listens.of(streams(options))
    end = day_number(START.date()) + options.days
    began = time.process_time()
    judged = r.judge(listens, end)
    seconds = time.process_time() - began
    assert judged.verdict is not None, judged.why_not
    rankings = dict(judged.measures)
    if not options.classic:
        rankings["oracle"] = oracle_ranking(options, listens, end)
    what = "classic" if options.classic else "listeners"
    size = f"{len(listens):,} streams, {len(listens.users):,} users, {options.days} days"
    users = len(rankings["model"].precision)
    print(f"\n{what}, seed {options.seed}: {size}; {users:,} users judged, {seconds:.0f} CPU seconds")
    print(f"| | {' | '.join(rankings['model'].means())} |\n|---|---|---|---|")
    for name in ("popular", "repeats", "model", "oracle"):
        if name in rankings:
            print(f"| {name} | {' | '.join(f'{value:.4f}' for value in rankings[name].means().values())} |")
    print(f"gate: {'published' if judged.verdict.publish else 'refused'}: {judged.verdict.sentence}")
    return {
        "run": what, "seed": options.seed, "streams": len(listens), "publish": judged.verdict.publish,
        "cpu_seconds": round(seconds, 1), **{name: ranking.means() for name, ranking in rankings.items()},
    }  # fmt: skip


def scale(millions: float) -> None:
    """Print CPU seconds and memory of judging, training and ranking so many million streams of made-up users.

    83 streams a user in 60 days, 10,000 songs, seven in ten streams from one of 60 scenes: the sizes of the listeners'
    runs, drawn at once because walking so many users would take longer than learning from them.
    """
    rows, rng, songs = int(millions * 1e6), np.random.default_rng(0), 10_000
    users = rows // 83
    activity = rng.lognormal(0, 1.2, users)
    user = rng.choice(users, rows, p=activity / activity.sum()).astype(np.int32)
    scene = rng.integers(0, 60, users)[user]
    own = scene * (songs // 60) + (rng.random(rows) ** 2 * (songs // 60)).astype(np.int64)
    song = np.where(rng.random(rows) < 0.7, own, (rng.random(rows) ** 1.5 * songs).astype(np.int64)).astype(np.int32)
    table = pa.table({
        "user_id": pa.array([f"{n:08d}" for n in range(users)]).take(pa.array(user)),
        "song_key": pa.array([f"S{n:07d}" for n in range(songs)]).take(pa.array(song)),
        "activity_date": dates(rng.integers(0, 60, rows) * DAY),
        "is_collected": rng.random(rows) < 0.4,
        "plays": np.ones(rows, dtype=np.int64),
    })  # fmt: skip
    end, began = day_number(START.date()) + 60, time.process_time()
    listens = Listens.of(table)
    del table, user, scene, own, song
    r.judge(listens, end)
    model = r.train(listens, end)
    ranked_users = sum(len(part.users) for part in r.lists(model, np.arange(len(listens.users))))
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{rows:,} streams, {ranked_users:,} users: {seconds:.0f} CPU seconds, {memory / 1e9:.2f} GB at most")


def seeds_and_classic(base: Options, seeds: Sequence[int]) -> list[Options]:
    """A run of each seed, and one of eventsim's users."""
    return [replace(base, seed=seed) for seed in seeds] + [replace(base, seed=seeds[0], classic=True)]


def measure_each(measure: Callable[[Options], dict[str, object]], runs: Iterable[Options]) -> None:
    """Measure each run, then print all figures as JSON, with the most memory that the process had."""
    figures = [measure(options) for options in runs]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"figures": figures, "peak_memory_bytes": memory, "load_average": os.getloadavg()[0]}))


def main() -> None:
    """Measure each seed, then eventsim's users; print everything as JSON at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    parser.add_argument("--millions", type=float, help="only time and memory, of so many million made-up streams")
    given = parser.parse_args()
    if given.millions:
        scale(given.millions)
        return
    base = Options(users=given.users, songs=given.songs, days=given.days, start=START, growth=0.0)
    measure_each(measure, seeds_and_classic(base, given.seeds))


if __name__ == "__main__":
    main()
