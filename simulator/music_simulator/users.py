"""The users: who they are, when they arrive, where they live and what they listen on.

Everything about a user follows from (seed, number of the user), so nothing has to be kept for users who are not active.
Users 0, 1, … `users - 1` exist from the start. The others are guests who arrive during the run.
"""

from dataclasses import dataclass

import numpy as np
from faker import Faker

from music_simulator.accounts import KINDS, LISTENER, kinds_of, list_keys
from music_simulator.behaviour import FACTOR_SIGMA
from music_simulator.clock import YEAR
from music_simulator.devices import UNSEEN_SHARE, Devices
from music_simulator.options import Options
from music_simulator.places import places
from music_simulator.randomness import (
    F64,
    I64,
    U64,
    cumulative_shares,
    exponential,
    key_of,
    keys,
    normal,
    uniform,
    weighted,
)

NAMES_OF_A_KIND = 400
GENDERS = ("F", "M")
#: Users registered at most this many years before the start, and one year before it on average.
OLDEST_REGISTRATION_YEARS = 5


@dataclass(frozen=True)
class Profile:
    """Columns for some users: indices into the lists of `Population`."""

    first_name: I64
    last_name: I64
    gender: I64
    registration: I64  # seconds after the start (negative: before), for users who exist from the start


class Population:
    """All users of a run."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.devices = Devices()
        self.place_shares = cumulative_shares([p.weight for p in places()])
        fake = Faker("en_US")
        fake.seed_instance(options.seed)
        women = [fake.first_name_female() for _ in range(NAMES_OF_A_KIND)]
        men = [fake.first_name_male() for _ in range(NAMES_OF_A_KIND)]
        self.first_names = women + men
        self.last_names = [fake.last_name() for _ in range(2 * NAMES_OF_A_KIND)]
        self.arrivals = _arrivals(options)
        self.size = options.users + len(self.arrivals)

    def behaviour_keys(self, who: I64) -> U64:
        """Keys of the users' behaviour."""
        return keys(self.options.seed, "behaviour", who)

    def account(self, who: I64) -> I64:
        """The user whose account each one uses: their own, or the shared one (user 0) that `--hot-key` makes hot."""
        if self.options.hot_key == 0:
            return who
        share = uniform(key_of(self.options.seed, "hot key"), who)
        return np.where((share < self.options.hot_key) & (who < self.options.users), 0, who)

    def user_id(self, who: I64) -> I64:
        """Id that the users' events carry."""
        return self.account(who) + (self.options.first_user + 1)

    def profile(self, who: I64) -> Profile:
        """Name, gender and registration of the accounts `who`."""
        key = keys(self.options.seed, "identity", who)
        gender = (uniform(key, 0) * 2).astype(np.int64)
        age = np.minimum(exponential(uniform(key, 3)), OLDEST_REGISTRATION_YEARS) * YEAR
        return Profile(
            first_name=gender * NAMES_OF_A_KIND + (uniform(key, 1) * NAMES_OF_A_KIND).astype(np.int64),
            last_name=(uniform(key, 2) * len(self.last_names)).astype(np.int64),
            gender=gender,
            registration=-age.astype(np.int64) - 1,
        )

    def kind(self, who: I64) -> I64:
        """Kind of each account: LISTENER, or what a scenario plants (`accounts.KINDS`, counted from 1)."""
        return kinds_of(self.options.seed, self.options.scenarios, self.options.users, who)

    def user_agent(self, who: I64) -> I64:
        """Index of each user's User-Agent."""
        return weighted(self.devices.shares, uniform(self._home_keys(who), 4))

    def device(self, who: I64, user_agent: I64) -> I64:
        """Index of the device that version 2 reports: that of the User-Agent or, for some users, one that it hides."""
        key = keys(self.options.seed, "identity", who)
        unseen = self.devices.unseen[(uniform(key, 6) * len(self.devices.unseen)).astype(np.int64)]
        return np.where(uniform(key, 5) < UNSEEN_SHARE, unseen, self.devices.kind_of_agent[user_agent])

    def first_place(self, who: I64) -> I64:
        """Index of the place where each user lives initially."""
        return weighted(self.place_shares, uniform(self._home_keys(who), 7))

    def _home_keys(self, who: I64) -> U64:
        """Keys of where users live and what they listen on: their own, or that of the room that accounts share."""
        own = keys(self.options.seed, "identity", who)
        kind = self.kind(who)
        for number in np.unique(kind[kind > LISTENER]).tolist():
            if KINDS[number - 1].one_room:
                there = kind == number
                own[there] = list_keys(self.options.seed, self.options.users, who[there], kind[there])
        return own

    def factors(self, who: I64) -> tuple[F64, F64]:
        """Each user's lognormal factors (mean 1) for the pauses between pages and between sessions."""
        key = keys(self.options.seed, "identity", who)
        page = np.exp(FACTOR_SIGMA * normal(uniform(key, 8), uniform(key, 9)) - FACTOR_SIGMA**2 / 2)
        session = np.exp(FACTOR_SIGMA * normal(uniform(key, 10), uniform(key, 11)) - FACTOR_SIGMA**2 / 2)
        return page, session


def _arrivals(options: Options) -> I64:
    """When new guests arrive, in seconds after the start: `--growth` per year in proportion to all users so far.

    The pause before each is exponential with mean year / (users so far · growth), as in eventsim.
    """
    found: list[I64] = []
    now, known, end = 0.0, options.users, options.days * 86_400
    key = key_of(options.seed, "arrivals")
    while options.growth > 0 and now < end:
        which = np.arange(known, known + 65_536, dtype=np.int64)
        times = now + np.cumsum(exponential(uniform(key, which)) * (YEAR / (which * options.growth)))
        found.append(times[times < end].astype(np.int64))
        now, known = float(times[-1]), known + len(which)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)
