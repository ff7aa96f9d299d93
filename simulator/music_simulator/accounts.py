"""Accounts that do not behave like an ordinary listener: what a scenario plants, and how each kind plays.

Five kinds create artificial streams. Three are honest people or places with extreme habits, the decoys that a detector
must leave alone. A kind drives all sessions of its accounts, or a share of them (then the rest are an ordinary
listener's). The habits of farms (streams just longer than the 30 seconds that count, few artists, around the clock,
hardly any other page) are those that services and rights holders describe: the French Centre national de la musique,
"Manipulation des écoutes en ligne" (2023), and the Music Fights Fraud Alliance.
"""

from dataclasses import dataclass

import numpy as np

from music_simulator.options import (
    BOOSTED_PLAYLIST,
    BOT_FARM,
    HEAVY_USERS,
    HIJACKED,
    LOOPERS,
    SPREAD_FARM,
)
from music_simulator.randomness import I64, U64, hashed, key_of, keys, uniform

#: Number of the kind of an ordinary listener; the others are 1, 2, … in the order of KINDS.
LISTENER = 0
GOLDEN = (5**0.5 - 1) / 2
ONE_ARTIST, SOME_SONGS, OWN_TASTE = "one artist", "some songs", "own taste"


@dataclass(frozen=True)
class Kind:
    """One kind of account, and how its sessions run. `sessions`: share of the accounts' sessions that it drives."""

    name: str
    scenario: str
    honest: bool
    #: Share of the users at the start that are of this kind.
    share: float
    #: Mean hours between two sessions; or the local hour at which each day's session begins.
    every_hours: float | None
    at_hour: int | None
    #: Chance that another song follows.
    goes_on: float
    #: Shortest and longest seconds that a song is heard; None: to its end.
    heard: tuple[int, int] | None
    #: What is played, how many songs there are if it is a list, and whose list it is: how many accounts share one
    #: (0: all accounts of the kind).
    plays: str
    songs: int
    sharing: int
    sessions: float = 1.0
    #: Share of the plays that are from the list; the others are of the user's own taste.
    devoted: float = 1.0
    #: Whether the accounts that share a list also share a place and a browser.
    one_room: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("farm", BOT_FARM, False, 0.002, 4.0, None, 0.98, (31, 40), ONE_ARTIST, 0, 50, one_room=True),
    Kind("spread farm", SPREAD_FARM, False, 0.003, 5.0, None, 0.95, (31, 75), SOME_SONGS, 40, 0),
    Kind("looper", LOOPERS, False, 0.002, 4.0, None, 0.97, None, SOME_SONGS, 1, 1),
    Kind("booster", BOOSTED_PLAYLIST, False, 0.005, 18.0, None, 0.98, (31, 60), SOME_SONGS, 15, 0, sessions=0.6),
    Kind("hijacked", HIJACKED, False, 0.005, 18.0, None, 0.98, (31, 45), ONE_ARTIST, 0, 20, sessions=0.5),
    Kind("superfan", HEAVY_USERS, True, 0.005, 14.0, None, 0.95, None, ONE_ARTIST, 0, 10, devoted=0.7),
    Kind("sleeper", HEAVY_USERS, True, 0.005, None, 22, 0.985, None, SOME_SONGS, 30, 1),
    Kind("shop", HEAVY_USERS, True, 0.002, None, 9, 0.992, None, OWN_TASTE, 0, 1),
)


def kinds_of(seed: int, scenarios: tuple[str, ...], users: int, who: I64) -> I64:
    """Kind of each account, by its own number. Guests who arrive during the run are ordinary listeners."""
    planted = [n + 1 for n, kind in enumerate(KINDS) if kind.scenario in scenarios]
    if not planted:
        return np.zeros(len(who), dtype=np.int64)
    until = np.cumsum([KINDS[n - 1].share for n in planted])
    # Spread evenly, so that a small run has its accounts too: multiples of the golden ratio.
    spread = (who * GOLDEN + uniform(key_of(seed, "kind of account"), 0)) % 1.0
    at = np.searchsorted(until, spread, side="right")
    return np.where(who < users, np.array([*planted, LISTENER])[at], LISTENER)


def planted_pages_per_user_and_day(scenarios: tuple[str, ...]) -> float:
    """Pages that the accounts of these scenarios view, per user of the whole population and day, roughly."""
    return sum(
        kind.share * kind.sessions * (24 / kind.every_hours if kind.every_hours else 1.0) / (1.0 - kind.goes_on)
        for kind in KINDS
        if kind.scenario in scenarios
    )


def list_keys(seed: int, users: int, who: I64, kind: I64) -> U64:
    """For each account the key of the list (or room) that it shares with others of its kind; kinds are from KINDS."""
    out = np.zeros(len(who), dtype=np.uint64)
    for number in np.unique(kind[kind > LISTENER]).tolist():
        one = KINDS[number - 1]
        mine = kind == number
        lists = 1 if one.sharing == 0 else max(1, round(users * one.share / one.sharing))
        nth = (uniform(keys(seed, "list of an account", who[mine]), 0) * lists).astype(np.int64)
        if one.sharing == 1:
            nth = who[mine]
        out[mine] = hashed(key_of(seed, f"list {one.name}"), nth)
    return out
