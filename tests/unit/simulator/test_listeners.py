"""Listeners with an inner life: what is planted is found again in what they do."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from music_simulator import chain
from music_simulator.__main__ import app
from music_simulator.accounts import KINDS, LISTENER
from music_simulator.airplay import NOVELTY, NOVELTY_DAYS, VIRAL_DAY, Airplay
from music_simulator.behaviour import STATES
from music_simulator.clock import DAY
from music_simulator.generation import World
from music_simulator.listeners import LIBRARY, PLAYLIST, SEARCH, expected_satisfaction, hazard, skip_second, traits
from music_simulator.options import BAD_WEEK, HEAVY_USERS, LOOPERS, VIRAL_HIT, Options
from music_simulator.places import places, utc_offsets
from music_simulator.sessions import FAR, Pages, Sessions
from tests.unit.simulator.conftest import make
from tests.unit.simulator.test_behaviour import MONDAY, starts

PAGES = np.array([state.page for state in STATES])
RUN = Options(seed=4, users=6000, start=MONDAY, days=42, growth=0.0)


@dataclass
class Walked:
    """A run's pages by user and time, its listens among them, and the walk after it."""

    world: World
    sessions: Sessions
    pages: Pages
    listens: Pages
    heard: np.ndarray


def walked(options: Options) -> Walked:
    """Walk a whole run."""
    world = World(options)
    sessions = Sessions(world.population, world.catalogue, world.clock)
    pages = np.concatenate([sessions.advance(until) for until in range(DAY, options.days * DAY + 1, DAY)])
    pages = pages[np.lexsort((pages["item"], pages["session"], pages["who"]))]
    at = np.flatnonzero(chain.IS_SONG[pages["state"]])
    ends = np.flatnonzero(~np.isnan(pages["listened"]))
    where = np.searchsorted(ends, at, side="right").clip(max=len(ends) - 1)
    end = pages[ends[where]]
    same = (end["who"] == pages["who"][at]) & (end["session"] == pages["session"][at]) & (ends[where] > at)
    return Walked(world, sessions, pages, pages[at], np.where(same, end["listened"], np.nan))


@pytest.fixture(scope="module")
def run() -> Walked:
    """Some 500,000 listens of six weeks."""
    return walked(RUN)


def test_most_plays_are_of_the_own_scenes(run: Walked) -> None:
    airplay = Airplay(RUN, run.world.catalogue)
    t = traits(RUN.seed, np.arange(RUN.users), airplay.scene_shares())
    who, scene = run.listens["who"], airplay.scene_of[run.listens["song"]]
    own = (t.scenes[who] == scene[:, None]).any(axis=1)
    by_chance = airplay.scene_shares()[t.scenes].sum(axis=1).mean()
    assert by_chance < 0.06
    assert own[run.listens["source"] == LIBRARY].all()
    assert own[run.listens["source"] == PLAYLIST].mean() == pytest.approx(1 - t.mainstream[who].mean(), abs=0.06)
    assert own[run.listens["source"] == SEARCH].mean() < 0.1
    # The leading scene leads.
    lead = t.weights.argmax(axis=1)
    first = t.scenes[np.arange(RUN.users), lead][who] == scene
    assert first[own].mean() > 0.5


def test_the_source_follows_the_trait(run: Walked) -> None:
    t = traits(RUN.seed, np.arange(RUN.users), Airplay(RUN, run.world.catalogue).scene_shares())
    plays = np.bincount(run.listens["who"], minlength=RUN.users)
    mine = np.bincount(run.listens["who"], run.listens["source"] == LIBRARY, minlength=RUN.users)
    often = plays >= 200
    assert np.corrcoef(mine[often] / plays[often], t.library[often])[0, 1] > 0.9


def test_collections_are_heard_again_and_again(run: Walked) -> None:
    """Of the plays from the collection three quarters are of songs that the user has heard before."""
    own = run.listens[run.listens["source"] == LIBRARY]
    heavy = np.isin(own["who"], np.flatnonzero(np.bincount(own["who"]) >= 100))
    pairs = own["who"][heavy].astype(np.int64) << 32 | own["song"][heavy]
    assert len(np.unique(pairs)) / len(pairs) < 0.25


def test_a_third_is_skipped_within_half_a_minute(run: Walked) -> None:
    """Lamere's figures: 24 % within 5 s, 35 % within 30 s, 49 % before the end (of songs that have another after)."""
    known = ~np.isnan(run.heard)
    assert np.mean(run.heard[known] < 30) == pytest.approx(0.35, abs=0.05)
    assert np.mean(run.heard[known] <= 5) == pytest.approx(0.24, abs=0.05)
    skipped = run.heard < run.world.catalogue.durations[run.listens["song"]].astype(int)
    assert skipped[known].mean() == pytest.approx(0.486, abs=0.05)
    by_source = [np.mean(run.heard[known & (run.listens["source"] == n)] < 30) for n in (LIBRARY, PLAYLIST)]
    assert by_source[0] < by_source[1] - 0.1


def test_skips_stay_within_the_song() -> None:
    u = np.linspace(0, 0.999999, 1000)
    for span in (2, 20, 30, 31, 200):
        at = skip_second(u, np.full(1000, span, dtype=np.int64))
        assert at.min() >= 1
        assert at.max() <= span - 1


def test_the_dissatisfied_leave(run: Walked) -> None:
    """Of the fifth with the greatest hazard several times as many leave as of the fifth with the least."""
    left = run.sessions.left < RUN.days * DAY
    assert 0.05 < left.mean() < 0.2
    paid = np.zeros(RUN.users, dtype=bool)
    t = traits(RUN.seed, np.arange(RUN.users), Airplay(RUN, run.world.catalogue).scene_shares())
    fifth = np.argsort(np.argsort(hazard(expected_satisfaction(t, paid)))) * 5 // RUN.users
    shares = [left[fifth == n].mean() for n in range(5)]
    assert shares[4] > 3 * shares[0]
    gone = np.flatnonzero(run.sessions.left < FAR)
    last = np.full(RUN.users, -1, dtype=np.int64)
    np.maximum.at(last, run.listens["who"], run.listens["second"])
    assert (last[gone] <= run.sessions.left[gone]).all()


def test_those_who_pay_come_back_to_cancel(run: Walked) -> None:
    cancels = run.pages[PAGES[run.pages["state"]] == "Cancellation Confirmation"]
    paid = chain.LEVEL[cancels["state"]] == 1
    assert paid.sum() > 50
    classic = walked(replace(RUN, users=2000, classic=True)).pages
    assert (PAGES[classic["state"]] == "Cancellation Confirmation").sum() / 2000 < len(cancels) / RUN.users / 2


def test_new_songs_rise_and_fade_and_nobody_hears_them_before() -> None:
    options = replace(RUN, songs=3000, users=4000)
    run = walked(options)
    airplay = Airplay(options, run.world.catalogue)
    assert (airplay.released[run.listens["song"]] * DAY <= run.listens["second"]).all()
    fresh = np.flatnonzero((airplay.released >= 0) & (airplay.released < 21))
    assert len(fresh) > 10
    age = run.listens["second"] // DAY - airplay.released[run.listens["song"]]
    plays = np.bincount(age[np.isin(run.listens["song"], fresh)], minlength=42)[:21]
    assert plays[0] < 0.4 * plays[5:10].mean()
    assert plays[16:21].mean() < plays[5:10].mean()
    peak = airplay._weights(int(airplay.released[fresh[0]] + NOVELTY_DAYS))[fresh[0]]
    assert peak == pytest.approx(airplay._weight[fresh[0]] * (1 + NOVELTY))


def test_each_state_has_its_own_night(run: Walked) -> None:
    """The fewest sessions start at 3 am local time, in the east as in the west."""
    zone = np.array(utc_offsets(MONDAY))
    first = run.pages[starts(run.pages)]
    local = first["second"] + zone[first["place"]]
    for hours in (-5, -8):
        some = zone[first["place"]] == hours * 3600
        counts = np.bincount(local[some] // 3600 % 24, minlength=24)
        smooth = counts + np.roll(counts, 1) + np.roll(counts, -1)
        assert np.argmin(smooth) in (1, 2, 3, 4, 5)
    assert {places()[n].state for n in np.flatnonzero(zone == -8 * 3600)} == {"CA", "NV", "OR", "WA"}


def test_a_viral_hit_comes_from_nowhere() -> None:
    run = walked(Options(seed=4, users=3000, start=MONDAY, days=21, growth=0.0, scenarios=(VIRAL_HIT,)))
    hit = Airplay(run.world.options, run.world.catalogue).viral
    day = run.listens["second"] // DAY
    share = [np.mean(run.listens["song"][day == n] == hit) for n in range(21)]
    assert max(share[:VIRAL_DAY]) < 0.002
    assert max(share[VIRAL_DAY + 5 : VIRAL_DAY + 12]) > 0.01


def test_a_bad_week_is_bad_and_the_others_are_not() -> None:
    made = make(Options(seed=4, users=400, start=MONDAY, days=16, songs=100, scenarios=(BAD_WEEK,)))
    week = made.records["second"] // (7 * DAY)
    assert (made.records["fault"][week == 1] > 0).mean() == pytest.approx(0.06, abs=0.02)
    assert (made.records["copy"][week == 1] > 0).mean() == pytest.approx(0.167, abs=0.03)
    assert not made.records["fault"][week != 1].any()


def simulated(folder: Path, *options: str) -> dict[str, Any]:
    """The truth file of a run to files."""
    folder.mkdir(exist_ok=True)
    arguments = ["--out", str(folder / "out"), "--truth", str(folder / "truth.json"), "--seed", "6", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    truth: dict[str, Any] = orjson.loads((folder / "truth.json").read_bytes())
    return truth


DISHONEST = sorted({kind.scenario for kind in KINDS if not kind.honest})


@pytest.mark.parametrize("scenario", [*DISHONEST, HEAVY_USERS])
def test_a_scenario_plants_its_accounts_and_says_so(scenario: str, tmp_path: Path) -> None:
    truth = simulated(tmp_path, "--users", "2000", "--days", "4", "--scenario", scenario, "--v3", "1")
    users = {user["user_id"]: user for user in truth["planted"]["users"]}
    of_kinds = [user for user in users.values() if user["kind"] != "listener"]
    kinds = [kind for kind in KINDS if kind.scenario == scenario]
    assert len(of_kinds) / 2000 == pytest.approx(sum(kind.share for kind in kinds), abs=0.001)
    artificial = truth["planted"]["artificial"]
    if scenario == HEAVY_USERS:
        assert all(user["is_honest"] for user in users.values())
        assert artificial == []
        return
    assert {row["user_id"] for row in artificial} <= {user["user_id"] for user in of_kinds}
    plays = sum(row["plays"] for row in artificial)
    listens = truth["counts"]["events"]["listen_events"]
    assert 0.01 < plays / listens < 0.5
    # What the file says is what was sent: every artificial listen is one of the user's listens of that song.
    sent: dict[tuple[str, str], int] = {}
    for part in (tmp_path / "out" / "listen_events").iterdir():
        for line in part.read_bytes().splitlines():
            event = orjson.loads(line)
            key = (str(event["userId"]), event["songId"])
            sent[key] = sent.get(key, 0) + 1
    for row in artificial:
        assert sent[row["user_id"], row["song_id"]] >= row["plays"]


def test_a_looper_plays_one_song_to_its_end() -> None:
    run = walked(Options(seed=4, users=3000, start=MONDAY, days=3, growth=0.0, scenarios=(LOOPERS,)))
    loops = run.listens["driven"] > LISTENER
    assert loops.sum() > 200
    one = {
        (int(who), int(song)) for who, song in zip(run.listens["who"][loops], run.listens["song"][loops], strict=True)
    }
    assert len(one) == len({who for who, _ in one})
    whole = run.world.catalogue.durations[run.listens["song"][loops]]
    known = ~np.isnan(run.heard[loops])
    assert np.allclose(run.heard[loops][known], whole[known], atol=1)


def test_the_truth_says_what_was_planted(tmp_path: Path) -> None:
    options = ("--users", "600", "--days", "20", "--songs", "500", "--growth", "20")
    truth = simulated(tmp_path / "one", *options)
    planted = truth["planted"]
    assert len(planted["songs"]) == 500
    one = planted["users"][0]
    assert set(one) == {
        "user_id", "kind", "is_honest", "scenes", "weights", "library", "mainstream", "fussiness", "collection",
        "satisfaction", "hazard_per_day", "left_at",
    }  # fmt: skip
    assert sum(one["weights"]) == pytest.approx(1, abs=1e-5)
    gone = {user["user_id"]: user["left_at"] for user in planted["users"] if user["left_at"]}
    assert 10 < len(gone) < 120
    last = {row["user_id"]: row["last_active_on"] for row in truth["marts"]["user_activity"]}
    assert all(last.get(user, "") <= when[:10] for user, when in gone.items())
    assert len(planted["users"]) > 600  # guests who registered
    assert simulated(tmp_path / "two", *options, "--workers", "2")["planted"] == planted
    classic = simulated(tmp_path / "three", *options, "--classic")["planted"]
    assert classic == {"songs": [], "users": [], "artificial": []}
