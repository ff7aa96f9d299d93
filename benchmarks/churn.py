"""How much of the planted risk of leaving is found: churn beside its baselines and the true hazard.

    python -m benchmarks.churn [--users 100000] [--days 91] [--seeds 7 8]

The simulator's listeners are walked without rendering their events: their counts by date are what the asset reads from
gold.streams and silver.page_views. The ceiling knows of each user what the simulator knows on the date: satisfaction,
and so the hazard of leaving, mean pause between visits, level, whether they are logged in, and when they were last
there. It does not know the draws to come. Its chances are by following each user's visits a few hundred times.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.learning import (
    START,
    STREAM_SECONDS,
    dates,
    in_order,
    measure_each,
    seeds_and_classic,
    songs_and_ends,
    user_ids,
)
from music_platform.learning import churn
from music_platform.learning.daily import COUNTS, UserDays
from music_platform.learning.evaluation import auc, calibration, log_likelihood
from music_platform.learning.listens import day_number
from music_simulator import chain
from music_simulator import listeners as planted
from music_simulator.behaviour import LEVELS, STATES
from music_simulator.clock import DAY
from music_simulator.generation import World
from music_simulator.options import Options
from music_simulator.sessions import Pages, Sessions

#: Users who are walked at once, and futures of a user that are followed.
PART, FUTURES = 25_000, 300
_KNOWN = np.array([state.knows_user for state in STATES])
_CONFIRMED = np.array([state.page == "Cancellation Confirmation" for state in STATES])
_LOGOUT = np.array([state.page == "Logout" for state in STATES])
_ADVERT = np.array([state.page == "Roll Advert" for state in STATES])
_SKIP = np.array([state.page == "Skip" for state in STATES])
#: Weekends halve the starts of sessions, and a start that is lost is drawn again from where it was.
_QUIET = 7.0 / 6.0


@dataclass(frozen=True)
class State:
    """What the simulator knows of the users on a date, in columns, by number. `last`: second of their last event."""

    satisfaction: npt.NDArray[np.float64]
    settles_at: npt.NDArray[np.float64]
    pause_days: npt.NDArray[np.float64]
    visitor: npt.NDArray[np.int64]
    last: npt.NDArray[np.float64]


def walk(options: Options, as_of: int) -> tuple[pa.Table, State, list[npt.NDArray[np.int64]]]:
    """The counts of a run by user and date, the state of the users at the beginning of day `as_of` of the run, and of
    all sessions: kind of visitor at the beginning and at the end, and whether there was a stream."""
    world = World(options)
    parts = max(1, options.users // PART)
    tables, states, seen = [], [], []
    for part in range(parts):
        sessions = Sessions(world.population, world.catalogue, world.clock, part, parts)
        pages = [sessions.advance(until) for until in range(DAY, as_of * DAY + 1, DAY)]
        states.append(_state(world, sessions, np.concatenate(pages), part, parts))
        pages += [sessions.advance(until) for until in range((as_of + 1) * DAY, options.days * DAY + 1, DAY)]
        whole = in_order(np.concatenate(pages))
        tables.append(_counts(options, whole))
        seen.append(_sessions(whole))
    columns = [np.concatenate([getattr(state, name) for state in states]) for name in State.__dataclass_fields__]
    order = np.argsort(np.concatenate([np.arange(part, options.users, parts) for part in range(parts)]))
    state = State(*(column[order] for column in columns))
    return pa.concat_tables(tables), state, [np.concatenate(column) for column in zip(*seen, strict=True)]


def _streams(pages: Pages) -> npt.NDArray[np.bool_]:
    """Which pages are songs that were heard long enough; pages in order of user, session and item."""
    _, end, known, at = songs_and_ends(pages)
    out = np.zeros(len(pages), dtype=np.bool_)
    out[at[known & (end["listened"] >= STREAM_SECONDS)]] = True
    return out


def _counts(options: Options, pages: Pages) -> pa.Table:
    state, song = pages["state"], chain.IS_SONG[pages["state"]]
    known = _KNOWN[state]
    values = {
        "plays": song, "streams": _streams(pages), "skips": _SKIP[state],
        "collected": song & (pages["source"] == planted.LIBRARY) & (not options.classic),
        "paid": song & (chain.LEVEL[state] > 0), "adverts": _ADVERT[state], "views": known,
        "logouts": _LOGOUT[state], "cancels": _CONFIRMED[state],
    }  # fmt: skip
    day = pages["second"] // DAY
    key, at = np.unique((pages["who"].astype(np.int64) * 4000 + day)[known], return_inverse=True)
    counts = {name: np.bincount(at, values[name][known]).astype(np.int64) for name in COUNTS}
    return pa.table({"user_id": user_ids(key // 4000), "activity_date": dates(key % 4000 * DAY),
                     **counts})  # fmt: skip


def _state(world: World, sessions: Sessions, pages: Pages, part: int, parts: int) -> State:
    who = np.arange(part, world.options.users, parts)
    last = np.full(len(who), -np.inf)
    np.maximum.at(last, (pages["who"] - part) // parts, pages["second"])
    visitor = chain.VISITOR[sessions.state].astype(np.int64)
    if sessions.listeners is None:
        nothing = np.zeros(len(who))
        return State(nothing, nothing, sessions.session_gap / DAY * _QUIET, visitor, last)
    traits = planted.traits(world.options.seed, who, sessions.listeners.airplay.scene_shares())
    settles_at = planted.expected_satisfaction(traits, chain.LEVEL[sessions.state] > 0)
    return State(
        sessions.listeners.satisfaction.astype(np.float64), settles_at,
        sessions.session_gap.astype(np.float64) / DAY * _QUIET, visitor, last,
    )  # fmt: skip


def _sessions(pages: Pages) -> tuple[npt.NDArray[np.int64], ...]:
    """Kind of visitor at the beginning and the end of each session, its songs, and whether there was a stream."""
    begins = np.flatnonzero(np.r_[True, (np.diff(pages["who"]) != 0) | (np.diff(pages["session"]) != 0)])
    ends = np.r_[begins[1:], len(pages)] - 1
    kind = chain.VISITOR[pages["state"]].astype(np.int64)
    songs = np.add.reduceat(chain.IS_SONG[pages["state"]].astype(np.int64), begins)
    streams = np.add.reduceat(_streams(pages).astype(np.int64), begins)
    return kind[begins], kind[ends], songs, (streams > 0).astype(np.int64)


def true_chances(
    state: State, users: npt.NDArray[np.int64], as_of: int, seen: list[npt.NDArray[np.int64]], classic: bool
) -> npt.NDArray[np.float64]:
    """The chance that each of these users is lost, from what the simulator knows on day `as_of` of the run."""
    rng, kinds = np.random.default_rng(0), len(chain.VISITORS)
    begin, end, songs, streamed = seen
    to = np.array([np.bincount(end[begin == kind], minlength=kinds) / max(1, (begin == kind).sum())
                   for kind in range(kinds)]).cumsum(axis=1)  # fmt: skip
    has_stream = np.array([streamed[begin == kind].mean() if (begin == kind).any() else 0.0 for kind in range(kinds)])
    fades = np.array([(1 - planted.SATISFACTION_STEP) ** (songs[begin == kind].mean() if (begin == kind).any() else 0)
                      for kind in range(kinds)])  # fmt: skip
    spread = np.sqrt(planted.SATISFACTION_STEP / (2 - planted.SATISFACTION_STEP))
    pays, knows = (
        np.array([visitor[n] == text for visitor in chain.VISITORS]) for n, text in ((1, LEVELS[1]), (0, "Logged In"))
    )
    cancels = np.where(pays, planted.CANCELS["paid"], planted.CANCELS["free"]) * knows

    def leaves(satisfaction: npt.NDArray[np.float64], days: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if classic:
            return np.zeros(len(days))
        risk: npt.NDArray[np.float64] = planted.hazard(satisfaction) * (days + days**2 / planted.SILENCE_DAYS)
        return 1.0 - np.exp(-risk)

    pause, silent = state.pause_days[users], as_of - state.last[users] / DAY
    kind, mood = state.visitor[users], state.satisfaction[users]
    # Silent because they have left (and not to cancel, which is seen), or because the pause is long.
    steps = (np.arange(64) + 0.5) / 64
    left = np.zeros(len(users))
    for step in steps:
        left += np.exp(-step * silent / pause) / pause * leaves(mood, step * silent) * silent / 64
    left *= 1.0 - cancels[kind]
    gone = left / (left + np.exp(-silent / pause))
    who = np.repeat(np.arange(len(users)), FUTURES)
    lost, kind, mood = np.ones(len(who), dtype=np.bool_), kind[who], mood[who]
    now = -silent[who]
    after = silent[who] + rng.exponential(pause[who])
    active = np.arange(len(who))
    streamed_yet = np.zeros(len(who), dtype=np.bool_)
    while active.size:
        away = leaves(mood[active], after[active])
        leaving = rng.random(len(active)) < away
        when = now[active] + rng.random(len(active)) * after[active]
        cancelling = leaving & (rng.random(len(active)) < cancels[kind[active]]) & (when < churn.HORIZON)
        back = now[active] + after[active]
        goes = leaving | (back >= churn.HORIZON)
        over = active[goes]
        lost[over] = ~streamed_yet[over]
        lost[active[cancelling]] = True
        active = active[~goes]
        now[active] = back[~goes]
        streamed_yet[active] |= rng.random(len(active)) < has_stream[kind[active]]
        fade = fades[kind[active]]
        settled = state.settles_at[users][who[active]]
        noise = rng.normal(0, spread, len(active)) * np.sqrt(1 - fade**2)
        mood[active] = settled + fade * (mood[active] - settled) + noise
        kind[active] = (rng.random(len(active))[:, None] >= to[kind[active]]).sum(axis=1).clip(max=kinds - 1)
        after[active] = rng.exponential(pause[who[active]])
    return gone + (1.0 - gone) * lost.reshape(len(users), FUTURES).mean(axis=1)


def measure(options: Options) -> dict[str, object]:
    """Judge the model on a run, and print the tables."""
    end = day_number(START.date()) + options.days
    as_of = options.days - churn.HORIZON
    table, state, seen = walk(options, as_of)
    days = UserDays.of(table)
    began = time.process_time()
    judged = churn.judge(days, end)
    seconds = time.process_time() - began
    assert judged.verdict is not None, judged.why_not
    said = dict(judged.said)
    numbers = days.users[judged.users].astype(np.int64)
    said["true hazard"] = np.clip(true_chances(state, numbers, as_of, seen, options.classic), 0.002, 0.998)
    figures: dict[str, dict[str, float]] = {
        name: {
            "AUC": auc(said[name], judged.labels),
            "log loss": -float(log_likelihood(said[name], judged.labels).mean()),
        }
        for name in ("base rate", "recency", "habits", "model", "true hazard")
    }
    what = "classic" if options.classic else "listeners"
    print(f"\n{what}, seed {options.seed}: {len(days):,} user-days; {len(judged.users):,} users at risk, "
          f"{judged.labels.mean():.3f} lost; {seconds:.0f} CPU seconds")  # fmt: skip
    print("| | AUC | log loss |\n|---|---|---|")
    for name, found in figures.items():
        print(f"| {name} | {found['AUC']:.4f} | {found['log loss']:.4f} |")
    deciles = {name: calibration(said[name], judged.labels) for name in ("model", "true hazard")}
    for name, found in deciles.items():
        print(name, "said/seen:", ", ".join(f"{one.said:.3f}/{one.seen:.3f}" for one in found))
    print(f"gate: {'published' if judged.verdict.publish else 'refused'}: {judged.verdict.sentence}")
    return {
        "run": what, "seed": options.seed, "users": len(judged.users), "publish": judged.verdict.publish,
        "worst_decile": max(abs(one.said - one.seen) for one in deciles["model"]), "cpu_seconds": round(seconds, 1),
        **figures,
    }  # fmt: skip


def main() -> None:
    """Measure each seed, then eventsim's users; print everything as JSON at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=91)
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8])
    given = parser.parse_args()
    base = Options(users=given.users, songs=10_000, days=given.days, start=START, growth=0.0)
    measure_each(measure, seeds_and_classic(base, given.seeds))


if __name__ == "__main__":
    main()
