"""What learning costs: seconds and memory of each model at some millions of listens.

    python -m benchmarks.learning_scale [--millions 1 10]

The listens are made up at once, because walking so many listeners would take longer than learning from them: 83 a user
in 91 days, 10,000 songs, seven in ten from one of 60 scenes, a quarter of the users stop coming, 2 % of them cut. Each
model runs in a process of its own, from the rows that its query returns to the rows that it would publish, judging
included. Seconds are of the processor, on the one thread that every model uses; memory is the process's maximum.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.learning import START, dates
from music_platform.learning import churn, recommendations, segments, suspicion, together
from music_platform.learning.daily import UserDays
from music_platform.learning.listens import Listens, day_number
from music_platform.learning.plays import Plays
from music_simulator.clock import DAY

LISTENS_OF_A_USER, DAYS, SONGS, SCENES = 83, 91, 10_000, 60
END = day_number(START.date()) + DAYS


def made_up(millions: float) -> pa.Table:
    """Listens: user, day, song, and whether streamed, skipped, cut, from the library, by somebody who pays."""
    rows, rng = int(millions * 1e6), np.random.default_rng(0)
    users = rows // LISTENS_OF_A_USER
    activity = rng.lognormal(0, 1.2, users)
    user = rng.choice(users, rows, p=activity / activity.sum()).astype(np.int32)
    last = np.where(rng.random(users) < 0.25, rng.integers(20, DAYS, users), DAYS)
    # Visits are on days of their own: a user has a tenth as many as listens.
    visit = rng.integers(0, 1 << 30, rows) % np.maximum(activity / activity.mean() * 8, 1).astype(np.int64)[user]
    day = ((visit * 2_654_435_761 + user * 40_503) % 1_000_003 % last[user]).astype(np.int32)
    scene = rng.integers(0, SCENES, users)[user]
    own = scene * (SONGS // SCENES) + (rng.random(rows) ** 2 * (SONGS // SCENES)).astype(np.int64)
    song = np.where(rng.random(rows) < 0.7, own, (rng.random(rows) ** 1.5 * SONGS).astype(np.int64)).astype(np.int32)
    cheats = rng.random(users) < 0.02
    skip = (rng.random(rows) < 0.3) & ~cheats[user]
    return pa.table({
        "user": user, "day": day, "song": song, "stream": ~skip, "skip": skip, "cut": cheats[user],
        "own": rng.random(rows) < 0.4, "paid": (rng.random(users) < 0.2)[user],
    })  # fmt: skip


def grouped(listens: pa.Table, by: list[str], sums: dict[str, str]) -> pa.Table:
    """Counts of listens by some columns, with ids and dates as the warehouse returns them. `sums`: name → column."""
    flags = {name: listens.column(of).cast(pa.int64()) for name, of in sums.items() if of}
    table = pa.table({**{name: listens.column(name) for name in by}, **flags})
    found = table.group_by(by, use_threads=False).aggregate([*((name, "sum") for name in flags), ([], "count_all")])
    count = found.column("count_all")
    columns = {name: found.column(f"{name}_sum") if of else count for name, of in sums.items()}
    texts = {"user": ("user_id", "{:08d}"), "song": ("song_key", "S{:07d}")}
    for name in by:
        if name == "day":
            columns["activity_date"] = dates(found.column("day").to_numpy().astype(np.int64) * DAY)
        else:
            key, text = texts[name]
            codes = found.column(name).to_numpy()
            columns[key] = pa.array([text.format(n) for n in range(codes.max() + 1)]).take(pa.array(codes))
    return pa.table(columns)


def rows_of_model(model: str, listens: pa.Table) -> pa.Table:
    """What the model's query would return."""
    if model == "churn_risk":
        sums = {"plays": "", "streams": "stream", "skips": "skip", "collected": "own", "paid": "paid",
                "adverts": "skip", "views": ""}  # fmt: skip
        table = grouped(listens, ["user", "day"], sums)
        none = pa.array(np.zeros(table.num_rows, dtype=np.int64))
        return table.append_column("cancels", none).append_column("logouts", none)
    if model == "suspicious_streams":
        sums = {"plays": "", "streams": "stream", "cut": "cut", "skips": "skip", "collected": "own", "seconds": ""}
        return grouped(listens, ["user", "day", "song"], sums)
    table = grouped(listens.filter(listens.column("stream")), ["user", "day", "song"], {"plays": ""})
    if model == "songs_heard_together":
        users, days = table.column("user_id"), table.column("activity_date").cast(pa.string())
        return table.append_column("session_key", pa.compute.binary_join_element_wise(users, days, "/"))
    return table.append_column("is_collected", pa.array(np.arange(table.num_rows) % 5 < 2))


def learn_recommendations(rows: pa.Table) -> int:
    """Judge, train and rank for everybody."""
    listens = Listens.of(rows)
    recommendations.judge(listens, END)
    model = recommendations.train(listens, END)
    return sum(len(part.users) for part in recommendations.lists(model, np.arange(len(listens.users))))


def learn_churn(rows: pa.Table) -> int:
    """Judge, train and score everybody at risk."""
    days = UserDays.of(rows)
    judged = churn.judge(days, END)
    assert judged.verdict is not None, judged.why_not
    return len(churn.score(churn.train(days, END), days, END).users)


def learn_suspicion(rows: pa.Table) -> int:
    """Judge, and write a sentence for each verdict."""
    judged = suspicion.judge(Plays.of(rows))
    assert judged.verdicts is not None, judged.why_not
    return len(suspicion.sentences(judged.verdicts))


def learn_segments(rows: pa.Table) -> int:
    """Judge and segment; songs stand for artists."""
    artists = Listens.of(rows)
    judged = segments.judge(artists, END)
    assert judged.verdict is not None, judged.why_not
    return len(segments.segments(artists, END).users)


def learn_together(rows: pa.Table) -> int:
    """Judge and pair; a user's date stands for a session."""
    sessions = together.Sessions.of(rows)
    judged = together.judge(sessions, END)
    assert judged.verdict is not None, judged.why_not
    return sum(int((part.other >= 0).sum()) for part in together.pairs(sessions, END))


MODELS: dict[str, Callable[[pa.Table], int]] = {
    "recommendations": learn_recommendations,
    "churn_risk": learn_churn,
    "suspicious_streams": learn_suspicion,
    "listener_segments": learn_segments,
    "songs_heard_together": learn_together,
}


def one(model: str, file: Path) -> None:
    """Measure one model in this process; print the figures as JSON."""
    rows = pq.read_table(file)
    count, began = rows.num_rows, time.process_time()
    said = MODELS[model](rows)
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"model": model, "rows": count, "said": said, "cpu_seconds": seconds, "peak_bytes": memory}))


def main() -> None:
    """Measure each model at each size; print a table, and everything as JSON at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], Path(given.one[1]))
        return
    figures = []
    print("| million listens | model | rows read | said | CPU seconds | GB |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for millions in given.millions:
            listens = made_up(millions)
            for model in MODELS:
                file = Path(scratch) / f"{model}.parquet"
                pq.write_table(rows_of_model(model, listens), file)
                command = [sys.executable, "-m", "benchmarks.learning_scale", "--one", model, str(file)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                figures.append({"millions": millions, **found})
                cost = f"{found['cpu_seconds']:.0f} | {found['peak_bytes'] / 1e9:.2f}"
                print(f"| {millions:g} | {model} | {found['rows']:,} | {found['said']:,} | {cost} |", flush=True)
                file.unlink()
    print(json.dumps({"figures": figures, "load_average": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
