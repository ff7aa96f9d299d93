"""Listeners with an inner life: what they like, what they play next, when they skip and when they leave for good.

What a listener is (all from the seed and the user's number, so it is never stored and is in the truth file):

- taste: TASTES scenes, drawn by their share of all plays, with weights e² / Σ e² of exponential e, so one of them
  usually leads (tastes are concentrated: Anderson et al., "Algorithmic effects on the diversity of consumption on
  Spotify", WWW 2020);
- a collection of 10 to 40 songs from these scenes. Slot j is played with density ∝ j^-½, and its song changes every
  COLLECTION_DAYS days, each slot in its own rhythm (repeats dominate: Anderson, Kumar, Tomkins and Vassilvitskii, "The
  dynamics of repeat consumption", WWW 2014);
- three traits: the share of plays from the collection, the share of other plays that follow the charts of everybody
  (`mainstream`), and how readily they skip (`fussiness`).

What they play: each play has a source.

- library: a song of the collection;
- playlist and radio: with the chance `mainstream` a song of the whole service, else one of the session's mood, which is
  one of their scenes, drawn once a session by their taste; so songs of one scene are heard together;
- search: a song of the whole service, since people look for what is talked about;
- album: another song of the last song's artist.

Within a scene and in the whole service, songs are drawn by their popularity on that day (`airplay`).

Whether they skip: with the chance SKIP_BASE − SKIP_BY_LIKING · liking + fussiness. The liking is 0.95 for a song of the
collection, and depends on the source and on whether the song is of their scenes for others. About half of the songs are
skipped and a third within 30 seconds, most of those within five: Lamere, "The skip" (2014), on Spotify's data.

When they leave: satisfaction s moves towards +1 with each song heard and towards −1 with each skip and advert:

    s ← s + SATISFACTION_STEP · (x − s)

and the hazard of leaving per day is BASE_HAZARD · exp(−HAZARD_BY_SATISFACTION · s). Over a silence of g days it adds up
to hazard · (g + g² / SILENCE_DAYS), so it rises while they stay away. Those who pay, and some of the others, come back
once to cancel; the rest are not heard of again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from music_simulator.accounts import KINDS, LISTENER, ONE_ARTIST, OWN_TASTE, list_keys
from music_simulator.airplay import Airplay
from music_simulator.behaviour import REACTIONS, SOURCES
from music_simulator.catalogue import Catalogue
from music_simulator.clock import DAY
from music_simulator.randomness import (
    F64,
    I64,
    U64,
    cumulative_shares,
    exponential,
    hashed,
    keys,
    normal,
    uniform,
    unit,
    weighted,
)
from music_simulator.users import Population

TASTES = 3
SMALLEST_COLLECTION, LARGEST_COLLECTION = 10, 40
COLLECTION_DAYS = 90
#: Range of the trait `library`, of `mainstream`, and sigma of `fussiness`.
LIBRARY_SHARE, MAINSTREAM = (0.15, 0.55), (0.05, 0.45)
FUSSINESS_SIGMA = 0.13
#: Liking of a song by source and whether it is of one's own scenes.
LIKING_OF_COLLECTION = 0.95
LIKING = {"playlist": (0.6, 0.2), "radio": (0.5, 0.15), "search": (0.8, 0.5), "album": (0.65, 0.4)}
SKIP_BASE, SKIP_BY_LIKING, LEAST_SKIP, MOST_SKIP = 1.0, 0.72, 0.03, 0.93
#: Of the skips this share is within EARLY_SECONDS, at EARLY_SECONDS · u ** EARLY_POWER: a quarter of all plays in 5 s.
EARLY_SHARE, EARLY_SECONDS, EARLY_POWER = 0.72, 30, 4.75
SATISFACTION_STEP = 0.06
BASE_HAZARD, HAZARD_BY_SATISFACTION, SILENCE_DAYS = 0.0035, 3.0, 28.0
#: Share of those who leave who cancel, among free and paying users.
CANCELS = {"free": 0.2, "paid": 1.0}

_NAMES = list(SOURCES)
LIBRARY, PLAYLIST, RADIO, SEARCH, ALBUM = map(_NAMES.index, ("library", "playlist", "radio", "search", "album"))
_OTHERS = (PLAYLIST, RADIO, SEARCH, ALBUM)
_OTHER_SHARES = cumulative_shares([SOURCES[_NAMES[n]] for n in _OTHERS])
_LIKING = np.array([LIKING.get(name, (LIKING_OF_COLLECTION,) * 2) for name in _NAMES])
#: Draws of a choice, and of the end of a session. Choice n of a user uses the counters from n · DRAWS.
DRAWS = 8
WHENCE, OTHER, CHARTS, WHICH, SLOT, LEAVES, LEAVES_AT, CANCELLING = range(8)
#: Counters of what does not depend on the choice.
_MOODS, _SLOTS = 1 << 50, 1 << 51


@dataclass(frozen=True)
class Traits:
    """What some users are, in columns. `scenes` and `weights` have TASTES columns; weights add up to 1."""

    scenes: I64
    weights: F64
    library: F64
    mainstream: F64
    fussiness: F64
    collection: I64


@dataclass(frozen=True)
class Choice:
    """What some users play next: the song, where from (index into SOURCES) and how much they like it (0 to 1)."""

    song: I64
    source: I64
    liking: F64


def traits(seed: int, who: I64, scene_shares: F64) -> Traits:
    """The traits of the users `who`."""
    key = keys(seed, "taste", who)

    def drawn(which: int) -> F64:
        return uniform(key, which)

    scenes = np.stack([weighted(cumulative_shares(scene_shares), drawn(n)) for n in range(TASTES)], axis=1)
    raw = np.stack([exponential(drawn(3 + n)) ** 2 for n in range(TASTES)], axis=1)
    low, high = LIBRARY_SHARE
    least, most = MAINSTREAM
    return Traits(
        scenes=scenes,
        weights=raw / raw.sum(axis=1, keepdims=True),
        library=low + (high - low) * drawn(6),
        mainstream=least + (most - least) * drawn(7),
        fussiness=FUSSINESS_SIGMA * normal(drawn(8), drawn(9)),
        collection=SMALLEST_COLLECTION + (drawn(10) * (LARGEST_COLLECTION - SMALLEST_COLLECTION + 1)).astype(np.int64),
    )


def skip_chance(liking: F64, fussiness: F64) -> F64:
    """Chance that a song is skipped that somebody likes so much."""
    chance: F64 = np.clip(SKIP_BASE - SKIP_BY_LIKING * liking + fussiness, LEAST_SKIP, MOST_SKIP)
    return chance


def skip_second(u: F64, span: I64) -> I64:
    """Second at which a song is skipped that could play for `span` (at least 2) more seconds."""
    early = 1 + (EARLY_SECONDS - 1) * (u / EARLY_SHARE) ** EARLY_POWER
    late = EARLY_SECONDS + (u - EARLY_SHARE) / (1 - EARLY_SHARE) * np.maximum(span - EARLY_SECONDS, 0)
    return np.clip(np.where(u < EARLY_SHARE, early, late).astype(np.int64), 1, span - 1)


def expected_satisfaction(t: Traits, paid: npt.NDArray[np.bool_]) -> F64:
    """Where satisfaction settles: +1 less two for each skip, and the adverts, of an average choice."""
    share = dict(zip(_OTHERS, np.diff(np.r_[0.0, _OTHER_SHARES]), strict=True))
    skips = t.library * skip_chance(np.full(len(paid), LIKING_OF_COLLECTION), t.fussiness)
    for source, of_others in share.items():
        own, other = (skip_chance(np.full(len(paid), liking), t.fussiness) for liking in _LIKING[source])
        strange = np.ones(len(paid)) if source == SEARCH else t.mainstream if source != ALBUM else t.mainstream * 0.6
        skips += (1 - t.library) * of_others * (strange * other + (1 - strange) * own)
    adverts = np.where(paid, REACTIONS["paid"]["Roll Advert"], REACTIONS["free"]["Roll Advert"])
    return 1.0 - 2.0 * skips - adverts


def hazard(satisfaction: F64) -> F64:
    """Hazard of leaving per day at the beginning of a silence."""
    rate: F64 = BASE_HAZARD * np.exp(-HAZARD_BY_SATISFACTION * satisfaction)
    return rate


def collection_song(
    key: U64, slot: U64, at: I64, scenes: npt.NDArray[np.integer], until: npt.NDArray[np.floating], airplay: Airplay
) -> I64:
    """The song in a slot of each user's collection at second `at`. `until`: cumulative weights of the scenes."""
    # The slot's own rhythm shifts when it changes. Days count from well before the run's first second.
    phase = unit(hashed(key, slot))
    age = ((at / DAY / COLLECTION_DAYS) + phase + 1.0).astype(np.uint64)
    one = hashed(key, np.uint64(_SLOTS) + slot * np.uint64(1 << 20) + age)
    u = unit(one)
    which = (u >= until[:, 0]).astype(np.int64) + (u >= until[:, 1])
    scene: I64 = scenes[np.arange(len(scenes)), which].astype(np.int64)
    return airplay.in_scene(airplay.before, scene, uniform(one, 0))


class Listeners:
    """The inner life of one part of the users, in parallel arrays."""

    def __init__(self, population: Population, catalogue: Catalogue, who: I64, paid: npt.NDArray[np.bool_]) -> None:
        options = population.options
        self.airplay = Airplay(options, catalogue)
        self._artist_of = catalogue.artist_of
        self.key: U64 = keys(options.seed, "choices", who)
        self._collection_key: U64 = keys(options.seed, "collection", who)
        t = traits(options.seed, who, self.airplay.scene_shares())
        self._scenes = t.scenes.astype(np.int16)
        until = np.cumsum(t.weights, axis=1)
        self._first, self._second = until[:, 0].astype(np.float32), until[:, 1].astype(np.float32)
        self._library, self._mainstream = t.library.astype(np.float32), t.mainstream.astype(np.float32)
        self.fussiness = t.fussiness.astype(np.float32)
        self._collection = t.collection.astype(np.int16)
        self.satisfaction = expected_satisfaction(t, paid).astype(np.float32)
        self.kind = population.kind(who).astype(np.int8)
        planted = self.kind > LISTENER
        self._list = np.zeros(len(who) if planted.any() else 0, dtype=np.uint64)
        if planted.any():
            self._list[planted] = list_keys(options.seed, options.users, who[planted], self.kind[planted].astype(int))

    def choose(
        self, users: npt.NDArray[np.intp], at: I64, nth: U64, session: I64, last: I64, scripted: npt.NDArray[np.bool_]
    ) -> Choice:
        """What these users play at second `at`, as their choice number `nth`. `last`: the song before (-1: none).

        `scripted`: whose session is driven by their kind.
        """
        key, counter = self.key[users], nth * np.uint64(DRAWS)
        u = unit(hashed(key[:, None], counter[:, None] + np.arange(5, dtype=np.uint64)))
        source = np.where(
            u[:, WHENCE] < self._library[users], LIBRARY, np.take(_OTHERS, weighted(_OTHER_SHARES, u[:, OTHER]))
        )
        source = np.where((source == ALBUM) & (last < 0), PLAYLIST, source)
        mood = self._taste(users, uniform(key, _MOODS + session.astype(np.int64)))
        song = np.empty(len(users), dtype=np.int64)
        chosen = source == LIBRARY
        if chosen.any():
            song[chosen] = self._from_collection(users[chosen], at[chosen], u[chosen, SLOT])
        albums = np.flatnonzero(source == ALBUM)
        song[albums] = self.airplay.of_artist(self._artist_of[last[albums]], u[albums, WHICH])
        # A song that is not out yet is on no album: the mood's playlist plays on.
        unheard = albums[self.airplay.released[song[albums]] * DAY > at[albums]]
        source[unheard] = PLAYLIST
        charts = (source == SEARCH) | ((source != ALBUM) & ~chosen & (u[:, CHARTS] < self._mainstream[users]))
        day = at // DAY
        listed = ~chosen & (source != ALBUM)
        for one in np.unique(day[listed]).tolist():
            table, today = self.airplay.table(one), listed & (day == one)
            everywhere, in_mood = np.flatnonzero(today & charts), np.flatnonzero(today & ~charts)
            song[everywhere] = self.airplay.anywhere(table, u[everywhere, WHICH])
            song[in_mood] = self.airplay.in_scene(table, mood[in_mood], u[in_mood, WHICH])
        devoted = np.flatnonzero(scripted & (u[:, SLOT] < _DEVOTED[self.kind[users]]))
        if devoted.size:
            song[devoted], source[devoted] = self._from_list(users[devoted], u[devoted, WHICH]), PLAYLIST
        scene = self.airplay.scene_of[song]
        own = (self._scenes[users] == scene[:, None]).any(axis=1)
        return Choice(song, source, _LIKING[source, 1 - own.astype(np.int64)])

    def feel(self, users: npt.NDArray[np.intp], heard: npt.NDArray[np.bool_], advert: npt.NDArray[np.bool_]) -> None:
        """What a song did to the satisfaction of these users."""
        now = self.satisfaction[users]
        now += SATISFACTION_STEP * (np.where(heard, 1.0, -1.0) - now)
        now -= SATISFACTION_STEP * advert
        self.satisfaction[users] = now

    def leave(self, users: npt.NDArray[np.intp], last: I64, back: I64, nth: U64) -> tuple[I64, F64]:
        """Second at which each leaves in the silence between `last` and `back` (-1: does not), and a draw for how."""
        key, counter = self.key[users], nth * np.uint64(DRAWS)
        u = unit(hashed(key[:, None], counter[:, None] + np.arange(LEAVES, DRAWS, dtype=np.uint64)))
        days = (back - last) / DAY
        rate = hazard(self.satisfaction[users].astype(np.float64))
        gone = u[:, 0] < 1.0 - np.exp(-rate * (days + days**2 / SILENCE_DAYS))
        gone &= _CAN_LEAVE[self.kind[users]]
        when = last + (u[:, 1] * (back - last)).astype(np.int64)
        return np.where(gone, when, -1), u[:, 2]

    def _taste(self, users: npt.NDArray[np.intp], u: F64) -> I64:
        """One of each user's scenes, by its weight."""
        which = (u >= self._first[users]).astype(np.int64) + (u >= self._second[users])
        scene: I64 = self._scenes[users, which].astype(np.int64)
        return scene

    def _from_collection(self, users: npt.NDArray[np.intp], at: I64, u: F64) -> I64:
        """The song in a slot of each user's collection."""
        slot = (u * u * self._collection[users]).astype(np.uint64)
        until = np.stack([self._first[users], self._second[users]], axis=1)
        return collection_song(self._collection_key[users], slot, at, self._scenes[users], until, self.airplay)

    def _from_list(self, users: npt.NDArray[np.intp], u: F64) -> I64:
        """A song of the list of each of these users, whose kinds have lists."""
        out = np.empty(len(users), dtype=np.int64)
        known = self.airplay.known
        for number in np.unique(self.kind[users]).tolist():
            kind = KINDS[number - 1]
            mine = self.kind[users] == number
            key = self._list[users[mine]]
            nth = np.zeros(len(key)) if kind.plays == ONE_ARTIST else (u[mine] * kind.songs).astype(np.int64)
            song = known[(uniform(key, nth) * len(known)).astype(np.int64)]
            if kind.plays == ONE_ARTIST:
                other = self.airplay.of_artist(self._artist_of[song], u[mine])
                song = np.where(self.airplay.released[other] < 0, other, song)
            out[mine] = song
        return out


#: By number of the kind: share of the plays from its list, and whether such an account can leave.
_DEVOTED = np.array([0.0, *(0.0 if kind.plays == OWN_TASTE else kind.devoted for kind in KINDS)])
_CAN_LEAVE = np.array([True, *(kind.sessions < 1.0 for kind in KINDS)])
