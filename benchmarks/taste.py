"""How much of the planted scenes is in the segments of listeners and in the songs that are heard together.

    python -m benchmarks.taste [--users 20000] [--songs 10000] [--days 60] [--seeds 7 8]

The simulator plants scenes of artists, and listeners who like three of them. Measured are the gates' own figures, the
adjusted mutual information of segments and the members' favourite scenes (Vinh, Epps and Bailey, 2010; 1: the same
partition, 0: chance), and which share of the first ten songs that are heard with a song are of its scene. With the
same users as eventsim's (`--classic`) there are no scenes, and both gates have to refuse.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.metrics import adjusted_mutual_info_score

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.learning import START, dates, heard, measure_each, seeds_and_classic, user_ids
from music_platform.learning import segments, together
from music_platform.learning.evaluation import Ranking, Verdict
from music_platform.learning.listens import Listens, day_number
from music_simulator import listeners as planted
from music_simulator.airplay import Airplay
from music_simulator.generation import World
from music_simulator.options import Options


def tables(options: Options) -> tuple[pa.Table, pa.Table]:
    """Streams by user and artist, and songs by session, of a run."""
    one, catalogue = heard(options), World(options).catalogue
    artists = pa.table({
        "user_id": user_ids(one["who"]),
        "song_key": np.array(catalogue.artist_ids)[catalogue.artist_of[one["song"]]],
        "activity_date": dates(one["second"]),
        "is_collected": np.zeros(len(one), dtype=np.bool_),
        "plays": np.ones(len(one), dtype=np.int64),
    })  # fmt: skip
    # The first stream of each session and song.
    key = (one["who"].astype(np.int64) << 40) + (one["session"].astype(np.int64) << 20) + one["song"]
    first = one[np.unique(key, return_index=True)[1]]
    _, begins, of = np.unique(
        first["who"].astype(np.int64) << 20 | first["session"], return_index=True, return_inverse=True
    )
    sessions = pa.table({
        "session_key": np.char.add(np.char.add(user_ids(first["who"]), "/"), first["session"].astype(str)),
        "song_key": np.array(catalogue.song_ids)[first["song"]],
        "activity_date": dates(first["second"][begins][of]),
    })  # fmt: skip
    return artists, sessions


def said(name: str, measures: dict[str, Ranking], verdict: Verdict | None, why_not: str) -> dict[str, object]:
    """Print what a gate says."""
    assert verdict is not None, why_not
    for model, ranking in measures.items():
        print(f"{name}, {model}:", ", ".join(f"{what} {value:.4f}" for what, value in ranking.means().items()))
    print(f"{name}: {'published' if verdict.publish else 'refused'}: {verdict.sentence}")
    return {"publish": verdict.publish, **{model: ranking.means() for model, ranking in measures.items()}}


def measure(options: Options) -> dict[str, object]:
    """Judge both on a run, and compare them with what is planted."""
    what = "classic" if options.classic else "listeners"
    print(f"\n{what}, seed {options.seed}")
    of_artists, of_sessions = tables(options)
    artists, sessions = Listens.of(of_artists), together.Sessions.of(of_sessions)
    end, began = day_number(START.date()) + options.days, time.process_time()
    tastes, pairs = segments.judge(artists, end), together.judge(sessions, end)
    figures: dict[str, object] = {
        "run": what, "seed": options.seed,
        "segments": said("segments", tastes.measures, tastes.verdict, tastes.why_not),
        "together": said("together", pairs.measures, pairs.verdict, pairs.why_not),
        "cpu_seconds": round(time.process_time() - began, 1),
    }  # fmt: skip
    if not options.classic:
        figures |= {"ami": _ami(options, artists, end), "same_scene": _same_scene(options, sessions, end)}
        print(figures["ami"], figures["same_scene"])
    return figures


def _ami(options: Options, artists: Listens, end: int) -> float:
    """Adjusted mutual information of segments and favourite scenes."""
    found = segments.segments(artists, end)
    shares = Airplay(options, World(options).catalogue).scene_shares()
    traits = planted.traits(options.seed, artists.users[found.users].astype(np.int64), shares)
    favourite = traits.scenes[np.arange(len(found.users)), traits.weights.argmax(axis=1)]
    return float(adjusted_mutual_info_score(favourite, found.segment))


def _same_scene(options: Options, sessions: together.Sessions, end: int) -> dict[str, float]:
    """Share of the first ten songs that are of the song's scene, and that of songs drawn by their streams."""
    catalogue = World(options).catalogue
    number = {song: n for n, song in enumerate(catalogue.song_ids)}
    scene = Airplay(options, catalogue).scene_of[[number[song] for song in sessions.songs.tolist()]]
    same, pairs = 0, 0
    for part in together.pairs(sessions, end):
        first = part.other[:, :10]
        same += int(((scene[first] == scene[part.of][:, None]) & (first >= 0)).sum())
        pairs += int((first >= 0).sum())
    share = np.bincount(scene, np.bincount(sessions.song, minlength=len(sessions.songs)))
    return {"found": same / pairs, "by chance": float(((share / share.sum()) ** 2).sum())}


def main() -> None:
    """Measure each seed, then eventsim's users; print everything as JSON at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--songs", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    given = parser.parse_args()
    base = Options(users=given.users, songs=given.songs, days=given.days, start=START, growth=0.0)
    measure_each(measure, seeds_and_classic(base, given.seeds))


if __name__ == "__main__":
    main()
