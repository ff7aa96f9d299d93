"""The Markov chain is eventsim's, and a large run walks it with eventsim's figures."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from music_simulator import chain
from music_simulator.behaviour import ABOUT_A_SONG, CHAIN, MOMENTS, NUMBER, REACTIONS, SKIP_CHANCE, STATES, State
from music_simulator.clock import DAY, Clock, holidays
from music_simulator.generation import World
from music_simulator.options import SCENARIOS, Burst, Options
from music_simulator.sessions import PAGE, Pages, Sessions

MONDAY = datetime(2026, 3, 2)


def walk(options: Options) -> Pages:
    """All pages of a run, by user and time."""
    world = World(options)
    sessions = Sessions(world.population, world.catalogue, world.clock)
    pages = [sessions.advance(until) for until in range(DAY, options.days * DAY + 1, DAY)]
    out = np.concatenate(pages)
    order = np.lexsort((out["item"], out["session"], out["who"]))
    return out[order]


@pytest.fixture(scope="module")
def large() -> Pages:
    """Some 650,000 pages in five weeks without a holiday."""
    return walk(Options(seed=11, users=8000, start=MONDAY, days=35, growth=1.0, classic=True))


@pytest.fixture(scope="module")
def plain(large: Pages) -> Pages:
    """The same without the moments within songs: what eventsim's chain says."""
    moments = np.array([state.page in MOMENTS for state in STATES])
    return large[~moments[large["state"]]]


def starts(pages: Pages) -> np.ndarray:
    """Whether each page is the first of its session."""
    new = (np.diff(pages["who"]) != 0) | (np.diff(pages["session"]) != 0)
    return np.r_[True, new]


def share(hits: int, trials: int, expected: float) -> None:
    """A share must lie within five standard errors of what is expected."""
    error = np.sqrt(expected * (1 - expected) / trials)
    assert abs(hits / trials - expected) < 5 * error + 1e-12, (hits / trials, expected, trials)


def test_the_chain_has_the_figures_of_eventsim() -> None:
    assert sum(map(len, CHAIN.values())) == 198
    assert len([state for state, row in CHAIN.items() if row]) == 38
    assert len({state.page for state in CHAIN}) == 17
    free, paid = State("NextSong", "Logged In", "free"), State("NextSong", "Logged In", "paid")
    assert CHAIN[free][free] == 0.5
    assert CHAIN[paid][paid] == 0.925
    assert 1 - sum(CHAIN[free].values()) == pytest.approx(0.437)
    assert 1 - sum(CHAIN[paid].values()) == pytest.approx(0.022)
    assert CHAIN[free][State("Upgrade", "Logged In", "free")] == 0.01
    assert CHAIN[paid][State("Downgrade", "Logged In", "paid")] == 0.01
    assert CHAIN[State("Upgrade", "Logged In", "free")][State("Submit Upgrade", "Logged In", "free")] == 0.3
    assert CHAIN[State("Downgrade", "Logged In", "paid")][State("Submit Downgrade", "Logged In", "paid")] == 0.01
    for level in ("free", "paid"):
        assert CHAIN[State("Settings", "Logged In", level)][State("Cancel", "Logged In", level)] == 0.005
        confirmed = State("Cancellation Confirmation", "Cancelled", level)
        assert CHAIN[State("Cancel", "Logged In", level)][confirmed] == 0.999
        assert CHAIN[State("Login", "Logged Out", level)][State("Home", "Logged In", level)] == 0.9
    register = State("Register", "Guest", "free")
    assert CHAIN[register][State("Submit Registration", "Logged In", "free")] == 0.7


def test_the_table_has_exactly_the_chances_of_the_chain() -> None:
    for state, row in CHAIN.items():
        found = np.bincount(chain.TRANSITIONS[NUMBER[state]] + 1, minlength=len(STATES) + 1) / chain.RESOLUTION
        for to, p in row.items():
            assert found[NUMBER[to] + 1] == pytest.approx(p)
        assert found[0] == pytest.approx(1 - sum(row.values()), abs=1e-9)


def test_transitions_of_a_large_run(plain: Pages) -> None:
    """Every transition of every state seen 1,000 times or more, within five standard errors; so do the session ends."""
    follows = ~starts(plain)[1:]
    before, after = plain["state"][:-1], plain["state"][1:]
    # Half a day before the end of the run what has no follower has ended, and was not cut off.
    counted = plain["second"][:-1] < 34.5 * DAY
    ends = ~follows
    for state, row in CHAIN.items():
        here = counted & (before == NUMBER[state])
        n = int(here.sum())
        if n < 1000:
            continue
        for to, p in row.items():
            share(int((here & follows & (after == NUMBER[to])).sum()), n, p)
        share(int((here & ends).sum()), n, 1 - sum(row.values()))


def test_pauses_between_pages_are_exponential(large: Pages) -> None:
    """From Home to the first song 90 s on average, times a lognormal factor of mean 1 and sigma 1."""
    home = NUMBER[State("Home", "Logged In", "free")]
    song = NUMBER[State("NextSong", "Logged In", "free")]
    first = starts(large)[:-1] & (large["state"][:-1] == home) & (large["state"][1:] == song) & ~starts(large)[1:]
    pause = np.diff(large["second"])[first]
    who = large["who"][:-1][first]
    sums, counts = np.bincount(who, pause), np.bincount(who)
    assert sums.sum() / counts.sum() == pytest.approx(89.5, rel=0.15)  # whole seconds: half a second less
    often = counts >= 5
    spread = np.log(sums[often] / counts[often]).std()
    assert 0.85 < spread < 1.25  # sigma 1 and the noise of five to some dozen pauses each


def test_sessions_are_a_week_apart_and_never_less_than_half_an_hour(large: Pages) -> None:
    first = starts(large)
    same = np.diff(large["who"]) == 0
    gaps = np.diff(large["second"])[first[1:] & same]
    assert gaps.min() >= 1800
    # Starts per user and day, thinned by two half days in seven: the inverse of a lognormal gap has the mean e / week.
    sessions = int((first & (large["session"] > 0)).sum())
    kept = 1 - 0.5 * 2 / 7
    assert sessions / (8400 * 35) == pytest.approx(np.e / 7 * kept, rel=0.15)


def test_songs_follow_each_other_without_a_break(large: Pages) -> None:
    """NextSong after NextSong comes when the song before ends, to the second; skips and pauses aside."""
    world = World(Options(seed=11, users=1, start=MONDAY, days=1, classic=True))
    song = chain.IS_SONG[large["state"]]
    both = song[:-1] & song[1:] & ~starts(large)[1:]
    length = world.catalogue.durations.astype(np.int64)[large["song"][:-1][both]]
    assert (np.diff(large["second"])[both] == length).all()


def test_the_day_has_its_trough_at_three_and_the_weekend_half(large: Pages) -> None:
    first = large[starts(large)]
    hours = np.bincount(first["second"] // 3600 % 24, minlength=24)
    smooth = (hours + np.roll(hours, 1) + np.roll(hours, -1)) / 3
    assert np.argmin(smooth) in (2, 3, 4)
    assert np.argmax(smooth) in (14, 15, 16)
    # 1 / (1 ∓ 2π · 0.09375): 0.63 and 2.43 times the mean at the extremes.
    assert smooth[15] / smooth[3] == pytest.approx(2.43 / 0.63, rel=0.25)
    days = np.bincount(first["second"] // DAY % 7, minlength=7)
    assert days[5:].mean() / days[1:4].mean() == pytest.approx(0.5, abs=0.06)


def test_holidays_are_thinned() -> None:
    clock = Clock(datetime(2026, 12, 21), 7)
    noon = np.array([day * DAY + DAY // 2 for day in range(7)])
    assert clock.loss(noon).tolist() == [0, 0, 0, 0, 0.5, 0.5, 0.5]
    midnight = np.array([4 * DAY - 3 * 3600, 4 * DAY, 4 * DAY + 3 * 3600])
    assert clock.loss(midnight).tolist() == [0, 0.25, 0.5]
    assert {date(2026, 7, 4), date(2026, 11, 26), date(2026, 5, 25), date(2026, 1, 19)} < holidays(2026)


def test_start_levels_and_logins() -> None:
    """Free to paid 10:2, logged in to logged out 10:1, in the first session of 40,000 users."""
    world = World(Options(seed=3, users=40_000, start=MONDAY, days=1, growth=0.0, classic=True))
    walks = Sessions(world.population, world.catalogue, world.clock)
    paid = chain.LEVEL[walks.state] == 1
    out = np.array([state.auth == "Logged Out" for state in STATES])[walks.state]
    share(int(paid.sum()), 40_000, 2 / 12)
    share(int(out.sum()), 40_000, 1 / 11)


def test_songs_are_played_by_their_weights(large: Pages) -> None:
    plays = large["song"][chain.IS_SONG[large["state"]]]
    world = World(Options(seed=11, users=1, start=MONDAY, days=1, classic=True))
    shares = np.diff(np.r_[0, world.catalogue.shares])
    assert shares.max() == pytest.approx(0.004, rel=0.05)
    counts = np.bincount(plays, minlength=len(shares))
    top = np.argsort(-shares)[:50]
    for song in top:
        share(int(counts[song]), len(plays), float(shares[song]))


def test_moments_happen_within_their_song(large: Pages) -> None:
    """Each at its rate; skips only before a NextSong in the same second; a pause is always resumed."""
    song = chain.IS_SONG[large["state"]]
    pages = np.array([state.page for state in STATES])[large["state"]]
    paid = chain.LEVEL[large["state"]] == 1
    for level, flag in (("free", ~paid), ("paid", paid)):
        n = int((song & flag).sum())
        for page, rate in REACTIONS[level].items():
            share(int(((pages == page) & flag).sum()), n, rate)
    assert (pages == "Pause").sum() == (pages == "Resume").sum() > 1000
    skips = np.flatnonzero(pages == "Skip")
    assert (pages[skips + 1] == "NextSong").all()
    assert (large["second"][skips + 1] == large["second"][skips]).all()
    in_a_row = int((song[:-1] & song[1:] & ~starts(large)[1:]).sum())
    assert 0.8 * SKIP_CHANCE < len(skips) / (in_a_row + len(skips)) < SKIP_CHANCE * 1.5
    about = np.isin(pages, list(ABOUT_A_SONG))
    last_song = np.maximum.accumulate(np.where(song, np.arange(len(large)), -1))
    # A session that was under way at the start may have its song before it.
    same = (large["who"] == large["who"][last_song]) & (large["session"] == large["session"][last_song])
    assert (about & ~same).sum() < 20
    assert (large["song"][about & same] == large["song"][last_song[about & same]]).all()
    assert (large["song"][~about & ~song] == -1).all()


def test_pages_can_be_left_out() -> None:
    pages = walk(Options(seed=2, users=500, start=MONDAY, days=3, omit=("Skip", "Pause", "Thumbs Up", "Roll Advert")))
    shown = {STATES[state].page for state in np.unique(pages["state"])}
    assert shown & set(MOMENTS) == {"Thumbs Down", "Add to Playlist", "Add Friend", "Playback End"}


def test_items_count_up_and_time_never_runs_back(large: Pages) -> None:
    inside = ~starts(large)[1:]
    assert (np.diff(large["item"])[inside] == 1).all()
    assert (np.diff(large["second"])[inside] >= 0).all()


def test_the_cancelled_never_come_back(large: Pages) -> None:
    gone = large[np.array([state.auth == "Cancelled" for state in STATES])[large["state"]]]
    assert len(gone) > 10
    last = {int(who): int(second) for who, second in zip(gone["who"], gone["second"], strict=True)}
    theirs = large[np.isin(large["who"], list(last))]
    assert all(second <= last[int(who)] for who, second in zip(theirs["who"], theirs["second"], strict=True))


def test_guests_register_and_users_move_house(large: Pages) -> None:
    registered = np.array([state.page == "Submit Registration" for state in STATES])[large["state"]]
    assert (large["who"][registered] >= 8000).all()
    assert registered.sum() > 200
    moved = np.diff(large["place"])[np.diff(large["who"]) == 0] != 0
    assert starts(large)[1:][np.diff(large["who"]) == 0][moved].all()
    # 0.12 moves a year for 35 days, of those who are seen often enough to show it.
    assert 0.3 < moved.sum() / (8400 * 0.12 * 35 / 365) < 1.1


def test_a_burst_multiplies_the_session_starts() -> None:
    usual = walk(Options(seed=2, users=6000, start=MONDAY, days=2, growth=0.0, classic=True))
    rush = walk(
        Options(seed=2, users=6000, start=MONDAY, days=2, growth=0.0, classic=True, bursts=(Burst(30, 60, 10),))
    )

    def during(pages: Pages) -> int:
        first = pages[starts(pages)]["second"]
        return int(((first >= 30 * 3600) & (first < 31 * 3600)).sum())

    assert 6 < during(rush) / during(usual) < 14


@pytest.mark.parametrize(
    "more", [{"classic": True}, {}, {"scenarios": tuple(SCENARIOS)}], ids=["classic", "listeners", "scenarios"]
)
def test_pages_do_not_depend_on_windows_or_parts(more: dict[str, Any]) -> None:
    options = Options(seed=8, users=400, start=MONDAY, days=3, growth=20.0, v2=0.5, **more)
    world = World(options)
    whole = walk(options)
    parts = []
    for part in range(3):
        sessions = Sessions(world.population, world.catalogue, world.clock, part, 3)
        parts += [sessions.advance(until) for until in range(5000, 3 * DAY + 5000, 5000) if until < 3 * DAY]
        parts.append(sessions.advance(3 * DAY))
    other = np.concatenate(parts)
    other = other[np.lexsort((other["item"], other["session"], other["who"]))]
    assert all(np.array_equal(whole[name], other[name], equal_nan=name == "listened") for name in PAGE.names or ())


def test_the_clock_begins_at_the_start() -> None:
    clock = Clock(datetime(2026, 3, 2, 6), 1)
    assert clock.epoch_ms(np.array([1])).tolist() == [int(datetime(2026, 3, 2, 6, 0, 1, tzinfo=UTC).timestamp() * 1000)]
