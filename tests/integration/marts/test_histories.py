"""Random histories of records: builds of any tier, in any order, give the tables of one complete build.

Records share few event ids, so they displace each other: with another kind, date, user, session number, song, place
or country. Their dates are at the ends of a year and of February, some have no session number or user, and the
catalogue gains and loses songs and makes names of artists ambiguous between builds.
"""

import random
from typing import Any

import pytest

from tests.integration.marts.test_pitfalls import Feeder, same_as_a_whole_build
from tests.support.event import event
from tests.support.lake import Record
from tests.support.warehouse import TestWarehouse

DATES = ("2023-12-30", "2023-12-31", "2024-01-01", "2024-02-28", "2024-02-29", "2024-03-01")
PAGES = ("NextSong", "Skip", "Pause", "Resume", "Logout", "Cancel", "Playback End", "Upgrade", "Add to Playlist",
         "Submit Registration", "Cancellation Confirmation", "Home")  # fmt: skip
RECORDS, IDS, BUILDS = 150, 70, 5
SHORT, LONG = (1, 2, 3), tuple(range(4, 21))


class History:
    """Records and catalogues, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def maybe(self, share: float, **fields: Any) -> dict[str, Any]:
        """These fields, or none of them."""
        return fields if self.chance.random() < share else {}

    def record(self) -> Record:
        """A record of any kind. Two records of an event id differ in anything, also in the kind."""
        pick = self.chance.choice
        kind = pick(("listen", "listen", "page_view", "page_view", "status_change", "auth"))
        user = pick((1, 2, 3, 4, 5, 6, 7, 8, None)) if kind in ("page_view", "auth") else self.chance.randint(1, 8)
        fields: dict[str, Any] = {
            "eventId": f"e{self.chance.randrange(IDS)}", "level": pick(("free", "paid")),
            "itemInSession": pick((1, 2, 3)),
            "produced": f"{pick(DATES)}T{self.chance.randrange(24):02d}:{self.chance.randrange(60):02d}:00",
            **self.maybe(0.5, country=pick(("US", "FR"))),
            **self.maybe(0.5, timeZone=pick(("Asia/Tokyo", "Nowhere/Else"))),
            **self.maybe(0.8, **pick(({"city": "Paris", "state": "TX"}, {"city": "Rome", "state": "GA"}))),
            **self.maybe(0.3, auth="Guest"),
        }  # fmt: skip
        if kind in ("listen", "page_view"):
            fields |= self.maybe(0.6, songId=f"S{self.chance.randint(1, 5)}")
            fields |= {
                "artist": pick(("Shared", "Own")),
                "song": pick(("One", "Two")),
                "duration": pick((20.0, 200.0, 4000.0)),
            }
        if kind == "page_view":
            fields |= {"page": pick(PAGES), **self.maybe(0.3, listenedSeconds=pick((5.0, 40.0)))}
        if kind == "status_change":
            fields |= self.maybe(0.5, levelAfter=pick(("free", "paid", "family")))
        if kind == "auth":
            fields |= {"success": True}
        if user is not None and self.chance.random() < 0.1:
            fields |= {"registration": 1704067200000 + self.chance.randrange(60) * 86_400_000}
        time = f"{pick(DATES)}T{self.chance.randrange(24):02d}:{self.chance.randrange(0, 60, 7):02d}:00"
        session = pick((1, 2, 3, 4, 5, None))
        return event(f"{kind}_events", time, user=user, session=session, **fields)

    def catalogue(self) -> tuple[str, str]:
        """Some songs and artists; names that two artists share are ambiguous."""
        songs = ["song_id,title,artist_id,duration,genre,release_year,label"]
        for n in range(1, 6):
            if self.chance.random() < 0.7:
                title, artist = self.chance.choice(("One", "Two")), self.chance.randint(1, 3)
                songs.append(f"S{n},{title},A{artist},200.0,{self.chance.choice(('Pop', 'Rock', ''))},2000,L{artist}")
        names = [f"A{n},{self.chance.choice(('Shared', 'Own'))},," for n in range(1, 4) if self.chance.random() < 0.8]
        return "\n".join(songs) + "\n", "\n".join(["artist_id,name,home_city,home_state", *names]) + "\n"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.long) for seed in LONG)])
def test_any_history_gives_the_tables_of_a_complete_build(warehouse: TestWarehouse, seed: int) -> None:
    history, feed = History(seed), Feeder(warehouse)
    for _ in range(BUILDS):
        feed.reference(*history.catalogue())
        feed.load(*(history.record() for _ in range(RECORDS // BUILDS)))
        warehouse.build()
    assert warehouse.value("select count(*) from GOLD.SONG_PERFORMANCE_DAILY") > 0
    same_as_a_whole_build(warehouse)


@pytest.mark.timeout(3600)
def test_tiers_that_are_ahead_of_each_other_come_to_the_same_tables(warehouse: TestWarehouse) -> None:
    """The live tier runs ahead, a build dies after its first models, dates are rebuilt, ledgers pruned in between."""
    history, feed = History(99), Feeder(warehouse)

    def load() -> None:
        feed.reference(*history.catalogue())
        feed.load(*(history.record() for _ in range(RECORDS // BUILDS)))

    load()
    warehouse.build()
    load()
    warehouse.build("--selector", "live")
    load()
    warehouse.killed_build(after=2)
    warehouse.build("--selector", "live")
    warehouse.dbt("run-operation", "prune_ledgers")
    load()
    warehouse.build("--selector", "policy")
    warehouse.build("--vars", "{rebuild_from: 2023-12-31, rebuild_to: 2024-02-28}")
    load()
    warehouse.build("--selector", "live")
    warehouse.build()
    same_as_a_whole_build(warehouse)
