"""The reference data as CSV: songs.csv, artists.csv and users.csv, by the contract of the reference tables.

All three are written before the first event. users.csv then has the users who exist from the start; it is written again
at the end of the run, with the guests who registered meanwhile. Changes to a user (level, place) are in the events
themselves, so no separate change feed is needed.
"""

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from music_platform.contracts.reference import ARTISTS, SONGS, USERS, ReferenceTable
from music_simulator.catalogue import Catalogue
from music_simulator.clock import Clock
from music_simulator.places import COUNTRY, places
from music_simulator.randomness import I64, uniform
from music_simulator.sessions import STARTS_PAID
from music_simulator.users import GENDERS, Population

_CHUNK = 50_000


def write_catalogue(folder: Path, catalogue: Catalogue) -> None:
    """Write songs.csv and artists.csv."""
    _write(folder, SONGS, zip(
        catalogue.song_ids, catalogue.titles, (catalogue.artist_ids[i] for i in catalogue.artist_of.tolist()),
        catalogue.durations.tolist(), catalogue.genres, catalogue.release_years.tolist(),
        catalogue.labels, strict=True,
    ))  # fmt: skip
    homes = [places()[i] for i in catalogue.artist_home.tolist()]
    _write(folder, ARTISTS, (
        (artist, name, home.city, home.state)
        for artist, name, home in zip(catalogue.artist_ids, catalogue.artist_names, homes, strict=True)
    ))  # fmt: skip


def write_users(folder: Path, population: Population, clock: Clock, registered: dict[int, int]) -> None:
    """Write users.csv. `registered`: number → second of registration of the guests who have registered."""
    guests = np.array(sorted(registered), dtype=np.int64)
    from_start = np.arange(population.options.users, dtype=np.int64)
    from_start = from_start[population.account(from_start) == from_start]

    def rows() -> Iterator[tuple[Any, ...]]:
        for who in (*(from_start[i : i + _CHUNK] for i in range(0, len(from_start), _CHUNK)), guests):
            yield from _user_rows(population, clock, who, registered)

    _write(folder, USERS, rows())


def _user_rows(population: Population, clock: Clock, who: I64, registered: dict[int, int]) -> Iterator[tuple[Any, ...]]:
    one = population.profile(who)
    paid = (uniform(population.behaviour_keys(who), STARTS_PAID.counter) < STARTS_PAID.share) & (
        who < population.options.users
    )
    agents = population.user_agent(who)
    seconds = np.array([registered.get(n, s) for n, s in zip(who.tolist(), one.registration.tolist(), strict=True)])
    columns = (
        population.user_id(who), one.first_name, one.last_name, one.gender, clock.epoch_ms(seconds.astype(np.int64)),
        paid, population.first_place(who), population.devices.kind_of_agent[agents],
    )  # fmt: skip
    for user, first, last, gender, time, is_paid, at, device in zip(*(c.tolist() for c in columns), strict=True):
        place = places()[at]
        yield (
            user, population.first_names[first], population.last_names[last], GENDERS[gender], time,
            "paid" if is_paid else "free", place.city, place.state, place.zip, place.lat, place.lon, COUNTRY,
            population.devices.kinds[device].type,
        )  # fmt: skip


def _write(folder: Path, table: ReferenceTable, rows: Iterable[Iterable[Any]]) -> None:
    """Write one CSV (RFC 4180) and move it into place when it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{table.name}.csv"
    unfinished = target.with_suffix(".csv.tmp")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([column.column for column in table.columns])
        writer.writerows(rows)
    os.replace(unfinished, target)
