"""How much of the planted artificial streaming is found, and whom the verdicts hit by mistake.

    python -m benchmarks.suspicion [--users 20000] [--days 28] [--seeds 7 8]

The simulator's listeners are walked with all five schemes and the honest heavy users, without rendering their events:
what they played by date and song is what the asset reads from gold.streams. Found and planted are counted in streams.
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.learning import START, STREAM_SECONDS, dates, in_order, measure_each, songs_and_ends, user_ids
from music_platform.learning import suspicion
from music_platform.learning.plays import Plays
from music_simulator import chain
from music_simulator import listeners as planted
from music_simulator.accounts import KINDS
from music_simulator.behaviour import STATES
from music_simulator.clock import DAY
from music_simulator.generation import World
from music_simulator.options import BAD_WEEK, SCENARIOS, VIRAL_HIT, Options
from music_simulator.sessions import Sessions

PART = 25_000
#: What is planted: everything but what happens to the data.
PLANTED = tuple(name for name in SCENARIOS if name not in (BAD_WEEK, VIRAL_HIT))
#: Seconds from which a play that is left early is no longer cut for the count, and the share of the song.
CUT_SECONDS, CUT_SHARE = 80, 0.8
_SKIP = np.array([state.page == "Skip" for state in STATES])
_HONEST = np.array([True, *(kind.honest for kind in KINDS)])


@dataclass(frozen=True)
class Planted:
    """The plays of a run, for each row how many streams of it dishonest accounts made, and each user's kind."""

    plays: Plays
    artificial: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]


def walk(options: Options) -> Planted:
    """The plays of a run."""
    world = World(options)
    parts = max(1, options.users // PART)
    tables = []
    for part in range(parts):
        sessions = Sessions(world.population, world.catalogue, world.clock, part, parts)
        pages = np.concatenate([sessions.advance(until) for until in range(DAY, options.days * DAY + 1, DAY)])
        tables.append(_rows(world, in_order(pages)))
    table = pa.concat_tables(tables)
    plays = Plays.of(table)
    # In the same order as the plays.
    order = np.lexsort((table.column("song_key"), table.column("activity_date"), table.column("user_id")))
    kind = world.population.kind(plays.users.astype(np.int64))
    return Planted(plays, table.column("artificial").to_numpy()[order], kind)


def _rows(world: World, pages: npt.NDArray[np.void]) -> pa.Table:
    durations = world.catalogue.durations
    one, end, known, _ = songs_and_ends(pages)
    heard = np.where(known, end["listened"], 0.0)
    by_next = known & chain.IS_SONG[end["state"]]
    stream = known & (heard >= STREAM_SECONDS)
    values = {
        "plays": np.ones(len(one)), "streams": stream, "skips": known & _SKIP[end["state"]],
        "cut": stream & by_next & (heard < CUT_SECONDS) & (heard < CUT_SHARE * durations[one["song"]]),
        "collected": one["source"] == planted.LIBRARY, "seconds": heard,
        "artificial": stream & ~_HONEST[one["driven"]],
    }  # fmt: skip
    songs = len(world.catalogue.song_ids)
    key, at = np.unique((one["who"].astype(np.int64) * 4000 + one["second"] // DAY) * songs + one["song"],
                        return_inverse=True)  # fmt: skip
    ids = np.array(world.catalogue.song_ids)
    return pa.table({
        "user_id": user_ids(key // songs // 4000),
        "activity_date": dates(key // songs % 4000 * DAY),
        "song_key": ids[key % songs],
        **{name: np.rint(np.bincount(at, of)).astype(np.int64) for name, of in values.items()},
    })  # fmt: skip


def chart(streams: npt.NDArray[np.generic], plays: Plays) -> npt.NDArray[np.float64]:
    """Streams of each song."""
    return np.bincount(plays.song, streams.astype(np.float64), len(plays.songs))


def measure(options: Options) -> dict[str, object]:
    """Find what is planted in a run, and print how well."""
    run = walk(options)
    plays = run.plays
    began = time.process_time()
    verdicts = suspicion.judge_plays(plays)
    seconds = time.process_time() - began
    flagged = np.zeros(len(plays), dtype=np.bool_)
    flagged[verdicts.rows] = True
    streams = plays.streams.astype(np.int64)
    hit = int(run.artificial[flagged].sum())
    precision, recall = hit / max(1, streams[flagged].sum()), hit / max(1, run.artificial.sum())
    size = f"{len(plays):,} rows, {streams.sum():,} streams, {run.artificial.sum():,} artificial"
    print(f"\nseed {options.seed}: {size}; {seconds:.0f} CPU seconds")
    print(f"precision {precision:.4f}, recall {recall:.4f}")
    by_kind = {}
    for number, kind in enumerate(KINDS, 1):
        of = run.kind[plays.user] == number
        share = run.artificial[flagged & of].sum() / max(1, run.artificial[of].sum())
        wrong = (streams - run.artificial)[flagged & of].sum() / max(1, (streams - run.artificial)[of].sum())
        by_kind[kind.name] = {"recall": float(share), "honest flagged": float(wrong)}
        print(f"  {kind.name}: {share:.4f} of artificial found, {wrong:.5f} of honest streams flagged")
    honest_listeners = run.kind[plays.user] == 0
    print(f"  listener: {streams[flagged & honest_listeners].sum() / streams[honest_listeners].sum():.6f} flagged")
    scores = np.zeros(len(plays.users))
    np.maximum.at(scores, plays.user[verdicts.rows], verdicts.scores())
    first = np.argsort(-scores, kind="stable")[: len(scores) // 100]
    decoys = int((_HONEST[run.kind[first]] & (run.kind[first] > 0)).sum())
    ours, truth = chart(np.where(flagged, 0, streams), plays), chart(streams - run.artificial, plays)
    tops = [np.argsort(-of, kind="stable")[:100] for of in (chart(streams, plays), ours, truth)]
    equal = [int((tops[0] == tops[2]).sum()), int((tops[1] == tops[2]).sum())]
    same = int(np.argmin(np.r_[tops[1] == tops[2], False]))
    print(f"decoys in the first 1 % ({len(first)} users): {decoys}")
    print(f"of the first 100 songs {equal[0]} are in their place before, {equal[1]} after; the first {same} are equal")
    return {"seed": options.seed, "precision": precision, "recall": recall, "decoys": decoys, "in_place": equal,
            "cpu_seconds": round(seconds, 1), "kinds": by_kind}  # fmt: skip


def main() -> None:
    """Measure each seed; print everything as JSON at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    given = parser.parse_args()
    base = Options(users=given.users, days=given.days, start=START, growth=0.0, scenarios=PLANTED)
    measure_each(measure, (replace(base, seed=seed) for seed in given.seeds))


if __name__ == "__main__":
    main()
