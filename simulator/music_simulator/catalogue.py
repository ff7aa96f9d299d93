"""The catalogue: artists and songs, generated from the seed with Faker's words and names, and how often each is played.

It deliberately contains what breaks joins by name: artists that share a name, songs that share a title, artists with
two songs of the same title, and quotes, commas, backslashes and non-ASCII letters.
"""

import numpy as np
from faker import Faker

from music_simulator.options import Options
from music_simulator.places import places
from music_simulator.randomness import F64, I64, cumulative_shares, key_of, normal, uniform, weighted

GENRES: dict[str, int] = {
    "Pop": 22, "Rock": 20, "Hip-Hop": 14, "Electronic": 10, "Country": 8, "R&B": 8, "Latin": 5, "Jazz": 4, "Metal": 4,
    "Folk": 3, "Classical": 2,
}  # fmt: skip
LABELS = (
    "Blue Harbor", "Northlight", "Paper Moon", "Third Rail", "Sunday Best", "Low Tide", "Copper Kettle",
    "Self-released",
)  # fmt: skip
SONGS_PER_ARTIST = 3
#: Year of the newest songs.
LAST_YEAR = 2026
#: One artist in this many has the name of another one; one song in this many has title and artist of the song before.
SHARED_NAME_EVERY, REPEATED_TITLE_EVERY = 50, 60
#: Weight of the song with rank r of n: a slope 1 - r/n, plus HITS · r ** -0.5 · exp((1 - r) / HIT_RANKS).
#: Fitted to eventsim's own song list: the first of 10,000 songs has 0.4 % of all plays, the first ten have 2 %.
HITS, HIT_RANKS = 19.5, 20.0
_WORDS = 900
_TITLE_STYLES = (
    "{a} {b}",
    "{a}",
    "{a} of {b}",
    "The {a} {b}",
    "{a} {b} {c}",
    "{a} ({b} Remix)",
    "My {a}",
    "{a} - Live",
)
_ODD_TITLES = (
    'The "Real" One', "Say It, Don't Spray It", "Back\\slash Blues", "Für Élise, Again", "夜の歌", "Ça va 🎧",
)  # fmt: skip


class Catalogue:
    """Songs and artists as parallel lists. The simulation refers to a song by its index."""

    def __init__(self, options: Options) -> None:
        n = options.songs
        self.fake = Faker("en_US")
        self.fake.seed_instance(options.seed + 1)
        key = key_of(options.seed, "catalogue")
        self.song_ids = [f"S{options.seed % 1000:03d}{i:07d}" for i in range(n)]
        self.artist_names = self._artist_names(max(2, n // SONGS_PER_ARTIST), key)
        artists = len(self.artist_names)
        self.artist_ids = [f"A{options.seed % 1000:03d}{i:06d}" for i in range(artists)]
        self.artist_home: I64 = (uniform(key, np.arange(artists) + 11 * n) * len(places())).astype(np.int64)
        numbers = np.arange(n, dtype=np.int64)
        self.artist_of: I64 = np.minimum((uniform(key, numbers) ** 1.5 * artists).astype(np.int64), artists - 1)
        self.titles = self._titles(n, key)
        self._repeat_titles()
        minutes = np.exp(normal(uniform(key, numbers + n), uniform(key, numbers + 2 * n)) * 0.32 + np.log(3.85))
        #: Durations in units of 10 microseconds, so that they are exact to five decimals.
        self.duration_e5: I64 = (np.clip(minutes * 60, 20, 1800) * 1e5).astype(np.int64)
        self.durations: F64 = self.duration_e5 / 1e5
        genre_shares = cumulative_shares(list(GENRES.values()))
        favourite = weighted(genre_shares, uniform(key, np.arange(artists) + 12 * n))
        other = weighted(genre_shares, uniform(key, numbers + 3 * n))
        names = list(GENRES)
        faithful = uniform(key, numbers + 4 * n) < 0.85
        self.genres = [names[i] for i in np.where(faithful, favourite[self.artist_of], other)]
        self.release_years: I64 = LAST_YEAR - (uniform(key, numbers + 5 * n) ** 2 * 60).astype(np.int64)
        label = (uniform(key, np.arange(artists) + 13 * n) ** 2 * len(LABELS)).astype(np.int64)
        self.labels = [LABELS[i] for i in label[self.artist_of]]
        self.shares: F64 = self._play_shares(n, key)

    def _artist_names(self, count: int, key: np.uint64) -> list[str]:
        words = [word.capitalize() for word in dict.fromkeys(self.fake.words(_WORDS))]
        pick = (uniform(key, np.arange(count) + (1 << 40)) * len(words)).astype(np.int64)
        styles = ("The {w}s", "{n}", "{n}", "{w} & the {v}s", "{w}", "DJ {w}", "{n} feat. {w}")
        names: list[str] = []
        for i in range(count):
            if i % SHARED_NAME_EVERY == SHARED_NAME_EVERY - 1 or i == 1:
                names.append(names[i // 2])
                continue
            person = f"{self.fake.first_name()} {self.fake.last_name()}"
            names.append(styles[i % 7].format(w=words[pick[i]], v=words[pick[i] * 7 % len(words)], n=person))
        return names

    def _titles(self, count: int, key: np.uint64) -> list[str]:
        words = [word.capitalize() for word in dict.fromkeys(self.fake.words(_WORDS))]
        a, b, c = (
            (uniform(key, np.arange(count) + (part << 41)) * len(words)).astype(np.int64).tolist() for part in (1, 2, 3)
        )
        titles = [
            _TITLE_STYLES[i % len(_TITLE_STYLES)].format(a=words[a[i]], b=words[b[i]], c=words[c[i]])
            for i in range(count)
        ]
        titles[2 : 2 + len(_ODD_TITLES)] = _ODD_TITLES[: max(0, count - 2)]
        return titles

    def _repeat_titles(self) -> None:
        """Give some artists two songs with the same title and different ids, as with album and live versions."""
        for i in range(1, len(self.titles), REPEATED_TITLE_EVERY):
            self.titles[i], self.artist_of[i] = self.titles[i - 1], self.artist_of[i - 1]

    @staticmethod
    def _play_shares(n: int, key: np.uint64) -> F64:
        """Cumulative shares of the plays. The songs' ranks are drawn at random."""
        ranks = np.argsort(np.argsort(uniform(key, np.arange(n) + 6 * n), kind="stable"), kind="stable")
        hits = HITS * (ranks + 1.0) ** -0.5 * np.exp(-ranks / HIT_RANKS)
        return cumulative_shares(hits + 1.0 - (ranks + 0.5) / n)
