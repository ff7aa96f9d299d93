"""The options of a run, and the error messages for invalid ones."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from math import log
from typing import Any

from music_platform.errors import PlatformError
from music_simulator.behaviour import MOMENTS, PLAYBACK_END

#: Distance between the user ids of two seeds. The seed is taken modulo ID_SEEDS so that ids stay exact in JSON.
ID_STEP, ID_SEEDS = 10_000_000, 1000
#: Maximum of --id-base: session ids (user id · 100,000 + n) must stay below 2**53.
MAX_ID_BASE = 80_000_000_000
MAX_RATE = 50_000.0
MAX_DAYS, MAX_GROWTH = 3660, 1000.0
MIN_SONGS, MAX_SONGS = 10, 10_000_000
#: Maximum number of users, including guests who arrive during the run (with room for chance).
MAX_USERS = 50_000_000
#: An event may be this far ahead of the record that carries it (the contract's own limit).
MAX_AHEAD = timedelta(hours=24)
EARLIEST = datetime(2005, 1, 2)
FIRST_DAY = datetime(2026, 6, 1)
#: Pages that a user views in a day, approximately.
PAGES_PER_USER_AND_DAY = 2.0
SHARES = (
    "duplicates", "late", "out_of_order", "malformed", "invalid", "unknown_fields", "wrong_clocks", "v2", "v3",
    "hot_key",
)  # fmt: skip
#: The shares of `--messy`: what a busy service with old clients and flaky networks sends.
MESSY = {
    "duplicates": 0.02,
    "late": 0.03,
    "out_of_order": 0.05,
    "malformed": 0.001,
    "invalid": 0.001,
    "unknown_fields": 0.01,
    "v2": 0.4,
    "v3": 0.3,
}


#: Scenarios: what each one plants. The truth file says on whom and on what.
VIRAL_HIT, BAD_WEEK, HEAVY_USERS = "viral-hit", "bad-week", "heavy-users"
BOT_FARM, SPREAD_FARM, LOOPERS, BOOSTED_PLAYLIST, HIJACKED = (
    "bot-farm", "spread-farm", "loopers", "boosted-playlist", "hijacked",
)  # fmt: skip
SCENARIOS: dict[str, str] = {
    VIRAL_HIT: "an obscure song takes 8 % of all plays within two weeks, and fades",
    BAD_WEEK: "the second week has ten times the usual duplicates, late and broken records",
    BOT_FARM: "farms of 50 accounts in one room, each for one artist, 31 to 40 s a song, around the clock",
    SPREAD_FARM: "accounts all over the country that play the same 40 songs, 31 to 75 s each",
    LOOPERS: "accounts that play one song over and over",
    BOOSTED_PLAYLIST: "listeners who also run a paid playlist of 15 songs",
    HIJACKED: "listeners whose accounts strangers use for one artist",
    HEAVY_USERS: "honest extremes: fans of one artist, music for the night, shops",
}
#: What the second week of `bad-week` has in addition to the run's own shares.
BAD_WEEK_DAYS = (7, 14)
BAD_WEEK_SHARES = {
    "duplicates": 0.2, "late": 0.25, "out_of_order": 0.2, "malformed": 0.03, "invalid": 0.03, "unknown_fields": 0.1,
}  # fmt: skip


#: Pages that can be left out. Leaving out Pause leaves out Resume too.
OMITTABLE = tuple(page for page in MOMENTS if page not in ("Resume", PLAYBACK_END))


class BadOptionError(PlatformError):
    """An invalid option. The message is one line for the user."""

    exit_code = 2


def users_for(events: float, days: int) -> int:
    """Users that a run of `days` needs to be sure of more than `events` events: half as many again as expected."""
    return max(1000, round(1.5 * events / days / PAGES_PER_USER_AND_DAY))


@dataclass(frozen=True)
class Burst:
    """A rush of visitors: from hour `at_hour` of the run, for `minutes`, `factor` times the usual session starts."""

    at_hour: float
    minutes: float
    factor: float

    @classmethod
    def parse(cls, text: str) -> "Burst":
        """Read `HOUR:MINUTES:FACTOR`, such as 12:30:5."""
        try:
            at, minutes, factor = (float(part) for part in text.split(":"))
        except ValueError:
            raise BadOptionError(f"--burst {text!r}: give HOUR:MINUTES:FACTOR, such as 12:30:5") from None
        if not (at >= 0 and 0 < minutes <= 1440 and 1 < factor <= 1000):
            raise BadOptionError(f"--burst {text!r}: HOUR from 0, MINUTES up to 1440, FACTOR above 1 and up to 1000")
        return cls(at, minutes, factor)


@dataclass(frozen=True)
class Options:
    """Everything that decides which events a run produces. Rate, sink and workers do not."""

    seed: int = 1
    users: int = 1000
    start: datetime = FIRST_DAY
    days: int = 7
    events: int | None = None
    songs: int = 10_000
    growth: float = 2.0
    id_base: int | None = None
    duplicates: float = 0.0
    late: float = 0.0
    out_of_order: float = 0.0
    malformed: float = 0.0
    invalid: float = 0.0
    unknown_fields: float = 0.0
    wrong_clocks: float = 0.0
    v2: float = 0.0
    v3: float = 0.0
    hot_key: float = 0.0
    bursts: tuple[Burst, ...] = field(default=())
    omit: tuple[str, ...] = field(default=())
    classic: bool = False
    scenarios: tuple[str, ...] = field(default=())

    @property
    def first_user(self) -> int:
        """User ids are this number plus 1, 2, …"""
        return self.id_base if self.id_base is not None else self.seed % ID_SEEDS * ID_STEP

    @property
    def end(self) -> datetime:
        """End of the simulated time."""
        return self.start + timedelta(days=self.days)

    def described(self) -> dict[str, Any]:
        """The options as plain values, for the truth file."""
        plain = asdict(self)
        plain["start"] = self.start.isoformat()
        plain["id_base"] = self.first_user
        plain["bursts"] = [f"{b.at_hour:g}:{b.minutes:g}:{b.factor:g}" for b in self.bursts]
        return plain

    def checked(self, now: datetime) -> "Options":
        """These options if they are valid; raises BadOptionError if not. `now` is the wall clock, UTC without zone."""
        least = {"users": 1, "days": 1, "songs": MIN_SONGS, "seed": 0, "growth": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise BadOptionError(f"--{name} {getattr(self, name)}: must be at least {bound}")
        most = {"users": MAX_USERS, "days": MAX_DAYS, "songs": MAX_SONGS, "growth": MAX_GROWTH}
        for name, limit in most.items():
            if getattr(self, name) > limit:
                raise BadOptionError(f"--{name} {getattr(self, name)}: must be at most {limit:.0f}")
        if log(self.users) + self.growth * self.days / 365.25 > log(MAX_USERS):
            raise BadOptionError(
                f"--growth {self.growth:g} makes more than {MAX_USERS:,} users out of {self.users:,} in {self.days} "
                "days: use less growth or fewer days"
            )
        if self.events is not None and self.events < 1:
            raise BadOptionError(f"--events {self.events}: must be at least 1")
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise BadOptionError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be a share from 0 to 1")
        if self.malformed + self.invalid > 1:
            raise BadOptionError("--malformed and --invalid together must not exceed 1")
        if self.v2 + self.v3 > 1:
            raise BadOptionError("--v2 and --v3 together must not exceed 1")
        if self.late + self.out_of_order > 1:
            raise BadOptionError("--late and --out-of-order together must not exceed 1")
        if self.id_base is not None and not 0 <= self.id_base <= MAX_ID_BASE:
            raise BadOptionError(f"--id-base {self.id_base}: must be between 0 and {MAX_ID_BASE}")
        for page in self.omit:
            if page not in OMITTABLE:
                raise BadOptionError(f"--omit {page!r}: cannot leave out this page; choose from {', '.join(OMITTABLE)}")
        for name in self.scenarios:
            if name not in SCENARIOS:
                raise BadOptionError(
                    f"--scenario {name!r}: there is no such scenario; choose from {', '.join(SCENARIOS)}"
                )
        if self.classic and self.scenarios:
            raise BadOptionError(
                f"--classic and --scenario {self.scenarios[0]}: eventsim's users have no habits that a scenario could "
                "change; leave one of them out"
            )
        if self.start < EARLIEST:
            raise BadOptionError(
                f"--start {self.start:%Y-%m-%d}: must be {EARLIEST:%Y-%m-%d} or later, as in the contract"
            )
        if self.end > now + MAX_AHEAD:
            latest = now + MAX_AHEAD - timedelta(days=self.days)
            raise BadOptionError(
                f"--start {self.start:%Y-%m-%dT%H:%M:%S} with --days {self.days} ends more than 24 h from now, and "
                f"later events are quarantined: start {latest:%Y-%m-%dT%H:%M} or earlier, or use fewer days"
            )
        return self
