"""What was planted: the truth file's section for tests and for whoever measures a model against it.

`songs`: scene and release of each song. `users`: kind, taste, traits, hazard of leaving and when they left.
`artificial`: the listens that a scenario's dishonest accounts made, by user, date (UTC) and song. The formulas are in
`listeners`, `airplay` and `accounts`. A run of `--classic` has nothing planted: three empty lists.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from music_simulator.accounts import KINDS, LISTENER
from music_simulator.airplay import Airplay
from music_simulator.generation import World
from music_simulator.listeners import expected_satisfaction, hazard, traits
from music_simulator.randomness import uniform
from music_simulator.sessions import STARTS_PAID

_CHUNK = 20_000
#: SQL over the log: the artificial listens.
ARTIFICIAL = """
    select
        event.user_id, event.day as activity_date, songs.song_id, kinds_of_accounts.name as kind, count(*) as plays
    from event
    join songs on songs.number = event.song
    join kinds_of_accounts on kinds_of_accounts.number = event.driven
    where event.kind = 'listen' and not kinds_of_accounts.honest
    group by all order by all
"""


def planted_songs(world: World) -> Iterator[dict[str, Any]]:
    """Each song's scene, the date of its release if it came out in the year of the start, and whether it is the hit."""
    if world.options.classic:
        return
    airplay = Airplay(world.options, world.catalogue)
    released = airplay.released.tolist()
    for number, (song, scene) in enumerate(zip(world.catalogue.song_ids, airplay.scene_of.tolist(), strict=True)):
        day = world.options.start + timedelta(days=released[number])
        yield {
            "song_id": song,
            "scene": scene,
            "released_on": day.date().isoformat() if released[number] > -400 else None,
            "is_viral": number == airplay.viral,
        }


def planted_users(world: World, registered: Mapping[int, int], left: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    """Each account's kind, taste and traits. `registered`, `left`: number of the user → second."""
    o, population = world.options, world.population
    if o.classic:
        return
    shares = Airplay(o, world.catalogue).scene_shares()
    everybody = np.concatenate([np.arange(o.users, dtype=np.int64), np.array(sorted(registered), dtype=np.int64)])
    for at in range(0, len(everybody), _CHUNK):
        who = everybody[at : at + _CHUNK]
        who = who[population.account(who) == who]
        t = traits(o.seed, who, shares)
        paid = (uniform(population.behaviour_keys(who), STARTS_PAID.counter) < STARTS_PAID.share) & (who < o.users)
        satisfaction = expected_satisfaction(t, paid)
        columns = (
            who, population.user_id(who), population.kind(who), t.scenes, t.weights.round(6), t.library, t.mainstream,
            t.fussiness, t.collection, satisfaction, hazard(satisfaction),
        )  # fmt: skip
        for one, user, kind, scenes, weights, library, mainstream, fussiness, songs, happy, rate in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            gone = left.get(one)
            when = datetime.fromtimestamp(world.clock.start_epoch + gone, UTC) if gone is not None else None
            yield {
                "user_id": str(user),
                "kind": "listener" if kind == LISTENER else KINDS[kind - 1].name,
                "is_honest": kind == LISTENER or KINDS[kind - 1].honest,
                "scenes": scenes,
                "weights": weights,
                "library": round(library, 6),
                "mainstream": round(mainstream, 6),
                "fussiness": round(fussiness, 6),
                "collection": songs,
                "satisfaction": round(happy, 6),
                "hazard_per_day": round(rate, 9),
                "left_at": when.isoformat(timespec="seconds")[:19] if when else None,
            }
