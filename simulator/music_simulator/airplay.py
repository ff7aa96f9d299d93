"""What there is to hear on each day: scenes of artists, release days, and how popular each song is when.

A scene is some dozens of artists whom the same people like, across genres. An artist belongs to one. A song of the
catalogue's last year comes out on a day of the year of the run's start, and nobody hears it before. Its popularity on
day a after its release is its lasting weight w times

    1 + NOVELTY · (a / NOVELTY_DAYS) · exp(1 − a / NOVELTY_DAYS)

an attack to 1 + NOVELTY at NOVELTY_DAYS and a decay to 1: the shape of Bass's diffusion, by its limit for few adopters
(a gamma curve). A viral hit is an obscure song that, from VIRAL_DAY on, takes a growing share of all plays:

    VIRAL_SHARE / (1 + exp(−(a − VIRAL_RISE) / 0.8)) · exp(−max(0, a − VIRAL_PEAK) / VIRAL_DECAY)

with a in days since VIRAL_DAY: logistic growth by word of mouth, then exponential forgetting.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from music_simulator.catalogue import LAST_YEAR, Catalogue
from music_simulator.options import VIRAL_HIT, Options
from music_simulator.randomness import F64, I64, cumulative_shares, key_of, uniform

#: Artists of a scene, roughly, and the fewest and the most scenes.
ARTISTS_PER_SCENE, FEWEST_SCENES, MOST_SCENES = 55, 4, 1000
NOVELTY, NOVELTY_DAYS, NOVELTY_ENDS = 6.0, 7.0, 90
VIRAL_DAY, VIRAL_SHARE, VIRAL_RISE, VIRAL_PEAK, VIRAL_DECAY = 7, 0.08, 4.0, 8.0, 9.0
#: Days whose tables are kept: a window of the walk is at most five days long.
_TABLES = 8


@dataclass(frozen=True)
class Table:
    """Shares of plays: cumulative over all songs, and scene number + cumulative share within it. Songs by scene."""

    everywhere: F64
    by_scene: F64


class Airplay:
    """Scenes, release days, and the table of plays of each day."""

    def __init__(self, options: Options, catalogue: Catalogue) -> None:
        key = key_of(options.seed, "airplay")
        songs, artists = len(catalogue.song_ids), len(catalogue.artist_ids)
        self.scenes = int(np.clip(artists // ARTISTS_PER_SCENE, FEWEST_SCENES, MOST_SCENES))
        self.scene_of_artist: I64 = (uniform(key, np.arange(artists)) * self.scenes).astype(np.int64)
        scene: I64 = self.scene_of_artist[catalogue.artist_of]
        # Few artists may leave a scene without songs; then whole scenes are renumbered away.
        present, self.scene_of = np.unique(scene, return_inverse=True)
        self.scene_of_artist = np.searchsorted(present, self.scene_of_artist).clip(max=len(present) - 1)
        self.scenes = len(present)
        #: Songs in order of scene; where each scene begins and how many songs it has.
        self.order: I64 = np.argsort(self.scene_of, kind="stable")
        self.count: I64 = np.bincount(self.scene_of, minlength=self.scenes)
        self.begin: I64 = np.cumsum(self.count) - self.count
        #: Songs in order of artist, and the same for artists.
        self.by_artist: I64 = np.argsort(catalogue.artist_of, kind="stable")
        self.artist_count: I64 = np.bincount(catalogue.artist_of, minlength=artists)
        self.artist_begin: I64 = np.cumsum(self.artist_count) - self.artist_count
        self.released: I64 = self._release_days(options.start, catalogue, key)
        self._weight: F64 = np.diff(np.r_[0.0, catalogue.shares])
        self._recent = np.flatnonzero(self.released > -NOVELTY_ENDS)
        known = np.flatnonzero(self.released < 0)
        self.known: I64 = known if len(known) else np.arange(songs, dtype=np.int64)
        self.viral: int | None = None
        if VIRAL_HIT in options.scenarios:
            obscure = self.known[np.argsort(self._weight[self.known], kind="stable")[: max(1, len(self.known) // 4)]]
            self.viral = int(obscure[int(uniform(key, 1 << 42)[0] * len(obscure))])
        self._tables: dict[int, Table] = {}
        #: The table of the day before the run, from which collections are filled.
        self.before = self._made(-1)

    def table(self, day: int) -> Table:
        """The table of a day of the run."""
        if day not in self._tables:
            while len(self._tables) >= _TABLES:
                del self._tables[min(self._tables)]
            self._tables[day] = self._made(day)
        return self._tables[day]

    def in_scene(self, table: Table, scene: I64, u: F64) -> I64:
        """A song of each scene, by its share of the plays there."""
        at = np.searchsorted(table.by_scene, scene + u, side="right")
        return self.order[np.clip(at, self.begin[scene], self.begin[scene] + self.count[scene] - 1)]

    def anywhere(self, table: Table, u: F64) -> I64:
        """A song of the whole catalogue, by its share of all plays."""
        return self.order[np.minimum(np.searchsorted(table.everywhere, u, side="right"), len(self.order) - 1)]

    def of_artist(self, artist: I64, u: F64) -> I64:
        """A song of each artist, all alike."""
        nth = (u * self.artist_count[artist]).astype(np.int64)
        song: I64 = self.by_artist[self.artist_begin[artist] + nth]
        return song

    def scene_shares(self) -> F64:
        """Each scene's share of all plays, before the run."""
        shares: F64 = np.bincount(self.scene_of, self._weights(-1), minlength=self.scenes).astype(np.float64)
        return shares

    def _release_days(self, start: datetime, catalogue: Catalogue, key: np.uint64) -> I64:
        """Day of each song's release, counted from the start; at least one song of each scene is out by then."""
        new_year = (datetime(start.year, 1, 1) - start).days
        of_year = (uniform(key, np.arange(len(catalogue.song_ids)) + (1 << 41)) * 365).astype(np.int64)
        day = np.where(catalogue.release_years == LAST_YEAR, new_year + of_year, -10_000)
        day[self.order[self.begin]] = -10_000
        return day

    def _weights(self, day: int) -> F64:
        """Weights of all songs on a day; they add up to about 1."""
        weight = self._weight.copy()
        age = (day - self.released[self._recent]).astype(np.float64)
        fresh = NOVELTY * (age / NOVELTY_DAYS) * np.exp(1.0 - age / NOVELTY_DAYS)
        weight[self._recent] *= np.where(age < 0, 0.0, 1.0 + np.where(age <= NOVELTY_ENDS, fresh, 0.0))
        if self.viral is not None and day >= VIRAL_DAY:
            since = day - VIRAL_DAY
            heard = VIRAL_SHARE / (1.0 + np.exp(-(since - VIRAL_RISE) / 0.8))
            weight[self.viral] += heard * np.exp(-max(0.0, since - VIRAL_PEAK) / VIRAL_DECAY)
        return weight

    def _made(self, day: int) -> Table:
        ordered = self._weights(day)[self.order]
        total = np.cumsum(ordered)
        before = np.r_[0.0, total][self.begin]
        within = np.r_[before[1:], total[-1]] - before
        scene = self.scene_of[self.order]
        return Table(cumulative_shares(ordered), scene + (total - before[scene]) / within[scene])
