"""Sessions: all users walk the Markov chain in step, one window of time after another.

The state of a user is a dozen numbers in parallel arrays. A step draws its random numbers from the user's own counter
(see `randomness`), so a walk depends neither on the windows nor on who else is simulated. Memory grows with the number
of users, not with the number of days.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from music_simulator import chain
from music_simulator.accounts import KINDS, LISTENER
from music_simulator.behaviour import (
    LEAVE_CHANCE,
    LEVELS,
    MAX_PAUSE_SECONDS,
    MIN_SESSION_GAP_SECONDS,
    MOVES_PER_YEAR,
    PAGE_GAP_SECONDS,
    PAUSE_CHANCE,
    PAUSE_MEAN_SECONDS,
    PLAYBACK_END,
    REACTIONS,
    REDIRECT_SECONDS,
    SESSION_GAP_SECONDS,
    SKIP_CHANCE,
    START_AUTHS,
    START_LEVELS,
)
from music_simulator.catalogue import Catalogue
from music_simulator.clock import DAY, YEAR, Clock
from music_simulator.listeners import CANCELS, Listeners, skip_chance, skip_second
from music_simulator.places import places, utc_offsets
from music_simulator.randomness import F64, I64, U64, exponential, hashed, uniform, unit, weighted
from music_simulator.users import Population

#: The walk begins this many seconds before the start of the run, so that sessions are already under way.
LEAD_SECONDS = 12 * 3600
FAR = np.int64(1) << 60
NO_SONG = -1
#: No song is longer.
MAX_SONG_SECONDS = 86_400

#: One page of one user. `listened`: seconds heard of the song that this page ends (NaN: none). `login`: outcome of the
#: login just before this page (0: none, 1: success, 2: failure). `song`: set for NextSong and moments about a song.
#: `source`: where the song was started from, for NextSong of listeners with an inner life. `driven`: number of the kind
#: of account that chose it (0: the listener).
PAGE = np.dtype([
    ("second", "i8"), ("who", "i4"), ("session", "i4"), ("item", "i4"), ("state", "i2"), ("song", "i4"),
    ("place", "i2"), ("listened", "f4"), ("login", "i1"), ("source", "i1"), ("driven", "i1"),
])  # fmt: skip
Pages = npt.NDArray[np.void]


@dataclass(frozen=True)
class Draw:
    """A share, and the number of the user's draw that is compared with it."""

    counter: int
    share: float


STARTS_PAID = Draw(0, START_LEVELS["paid"] / sum(START_LEVELS.values()))
STARTS_OUT = Draw(1, START_AUTHS["Logged Out"] / sum(START_AUTHS.values()))

#: Draws per step. Step n uses the counters from n · DRAWS.
DRAWS = 16
NEXT, GAP, SKIPS, SKIP_AT, PAUSES, PAUSE_LENGTH, REACTS, REACT_AT, PAUSE_AT, SONG, LEAVES, LEAVE_AT, GOES_ON = range(13)
START_GAP, LOST, RUSH, RUSH_AT, MOVES, MOVED_TO, FIRST_PAGE, FIRST_SONG, DRIVEN = range(9)

#: By number of the kind of account: chance that another song follows, shortest and longest seconds of a song, share of
#: the sessions that the kind drives, mean seconds between sessions (0: the user's own), local hour (-1: any).
_GOES_ON = np.array([0.0, *(kind.goes_on for kind in KINDS)])
_HEARD = np.array([(0, 0), *(kind.heard or (MAX_SONG_SECONDS, MAX_SONG_SECONDS) for kind in KINDS)])
_DRIVEN = np.array([0.0, *(kind.sessions for kind in KINDS)])
_EVERY = np.array([0.0, *((kind.every_hours or 1.0) * 3600 for kind in KINDS)])
_AT_HOUR = np.array([-1, *(-1 if kind.at_hour is None else kind.at_hour for kind in KINDS)])
_CANCELS = np.array([CANCELS[level] for level in LEVELS])


class Sessions:
    """The walks of one part of the users: every `parts`-th user, starting with user `part`."""

    def __init__(
        self, population: Population, catalogue: Catalogue, clock: Clock, part: int = 0, parts: int = 1
    ) -> None:
        self.population, self.catalogue, self.clock = population, catalogue, clock
        self.part, self.parts = part, parts
        who = np.arange(part, population.size, parts, dtype=np.int64)
        self.key: U64 = population.behaviour_keys(who)
        guest = who >= population.options.users
        paid = (uniform(self.key, STARTS_PAID.counter) < STARTS_PAID.share) & ~guest
        out = uniform(self.key, STARTS_OUT.counter) < STARTS_OUT.share
        kind = np.where(guest, chain.VISITORS.index(("Guest", "free")), _kind("Logged In", paid))
        kind = np.where(~guest & out, _kind("Logged Out", paid), kind)
        page_factor, session_factor = population.factors(who)
        self.page_gap = (page_factor * PAGE_GAP_SECONDS).astype(np.float32)
        self.session_gap = (session_factor * SESSION_GAP_SECONDS).astype(np.float32)
        n = len(who)
        self.step = np.ones(n, dtype=np.uint64)
        self.at = np.zeros(n, dtype=np.int64)
        self.state = chain.FIRST[kind, 0].astype(np.int16)
        self.session = np.full(n, -1, dtype=np.int32)
        self.item = np.zeros(n, dtype=np.int32)
        self.song = np.full(n, NO_SONG, dtype=np.int32)
        self.song_began = np.zeros(n, dtype=np.int64)
        self.song_ends = np.full(n, -FAR, dtype=np.int64)
        self.place = population.first_place(who).astype(np.int16)
        self.listened = np.full(n, np.nan, dtype=np.float32)
        self.login = np.zeros(n, dtype=np.int8)
        self.registered = np.full(n, FAR, dtype=np.int64)
        #: Second at which each user left for good; FAR for those who did not, or who cancelled by the chain alone.
        self.left = np.full(n if not population.options.classic else 0, FAR, dtype=np.int64)
        self.listeners: Listeners | None = None
        if not population.options.classic:
            self.listeners = Listeners(population, catalogue, who, paid)
            self.source, self.liking = np.zeros(n, dtype=np.int8), np.zeros(n, dtype=np.float32)
        #: Whether accounts of a scenario's kinds are among these users, and whether their kind drives the session.
        self._planted = self.listeners is not None and bool((self.listeners.kind > LISTENER).any())
        self.scripted = np.zeros(n, dtype=np.bool_)
        begin = np.full(n, -LEAD_SECONDS, dtype=np.int64)
        if guest.any():
            arrived = population.arrivals[who[guest] - population.options.users]
            begin[guest] = np.maximum(begin[guest], arrived - self.session_gap[guest].astype(np.int64))
        omit = population.options.omit
        self._skip_chance = 0.0 if "Skip" in omit else SKIP_CHANCE
        self._pause_chance = 0.0 if "Pause" in omit else PAUSE_CHANCE
        self._reactions = np.array([page not in omit for page in REACTIONS["free"]] + [False])
        zones = [0] * len(places()) if population.options.classic else utc_offsets(population.options.start)
        self._zone = np.array(zones, dtype=np.int64)
        if self._planted:
            every = _EVERY[self._kind_of(np.arange(n))]
            self.session_gap = np.where(every > 0, every, self.session_gap).astype(np.float32)
            alone = np.flatnonzero(self._kind_of(np.arange(n)) > LISTENER)
            self.state[alone] = chain.FIRST[
                [_kind_at("Logged In", level) for level in chain.LEVEL[self.state[alone]]], 0
            ]
        self._ahead = np.empty(0, dtype=PAGE)
        self._seconds = catalogue.durations.astype(np.int64)
        self._begin_sessions(np.arange(n), begin)

    def advance(self, until: int) -> Pages:
        """All pages from where the walks are now up to second `until` (exclusive) of the run."""
        found = [self._ahead]
        active = np.flatnonzero(self.at < until)
        while active.size:
            found += self._step(active)
            active = active[self.at[active] < until]
        pages = np.concatenate(found)
        due = pages["second"] < until
        self._ahead = pages[~due]
        return pages[due & (pages["second"] >= 0)]

    def registered_at(self, who: I64) -> I64:
        """Second at which each of these users of this part registered; FAR if they have not."""
        return self.registered[(who - self.part) // self.parts]

    def registrations(self) -> dict[int, int]:
        """Number → second of registration of the guests who have registered."""
        which = np.flatnonzero(self.registered < FAR)
        return dict(zip((which * self.parts + self.part).tolist(), self.registered[which].tolist(), strict=True))

    def departures(self) -> dict[int, int]:
        """Number → second of those who left for good."""
        which = np.flatnonzero(self.left < FAR)
        return dict(zip((which * self.parts + self.part).tolist(), self.left[which].tolist(), strict=True))

    def _step(self, a: npt.NDArray[np.intp]) -> list[Pages]:
        """Emit the current page of each user in `a` and what happens during its song, then move to the next page."""
        at, state, level = self.at[a], self.state[a], chain.LEVEL[self.state[a]]
        key, counter = self.key[a], self.step[a] * np.uint64(DRAWS)
        self.step[a] += np.uint64(1)
        playing = chain.IS_SONG[state]
        first = playing & (self.song[a] == NO_SONG)
        if first.any():  # the first page of a session, whose song nobody has chosen yet
            self._play(a[first], self.step[a[first]] - np.uint64(2), FIRST_SONG)
        pages = [self._pages(a, at, state, np.where(playing, self.song[a], NO_SONG), self.item[a])]
        if self.listeners:
            pages[0]["source"] = self.source[a]
            if self._planted:
                pages[0]["driven"] = np.where(self.scripted[a] & playing, self.listeners.kind[a], LISTENER)
        pages[0]["listened"], pages[0]["login"] = self.listened[a], self.login[a]

        following = chain.TRANSITIONS[
            state, (unit(hashed(key, counter + np.uint64(NEXT))) * chain.RESOLUTION).astype(np.int64)
        ]
        scripted = self.scripted[a]
        if self._planted and scripted.any():
            following = self._scripted_next(a, scripted, state, level, following, key, counter)
        ends = following == chain.END
        to_song = chain.IS_SONG[following] & ~ends
        gap = exponential(unit(hashed(key, counter + np.uint64(GAP)))) * self.page_gap[a]
        then = at + np.where(chain.IS_REDIRECT[following], REDIRECT_SECONDS, gap.astype(np.int64))
        waits = to_song & (at < self.song_ends[a])
        then = np.where(waits, self.song_ends[a], then)
        listened = np.full(len(a), np.nan, dtype=np.float32)
        prior = self.song[a]
        heard_whole = to_song & (prior != NO_SONG)
        listened[heard_whole] = self.catalogue.durations[prior[heard_whole]]
        if self._planted and scripted.any():
            cut = np.flatnonzero(scripted & playing)
            stop = self._scripted_stop(a[cut], key[cut], counter[cut])
            short = at[cut] + stop < self.song_ends[a[cut]]
            cut, stop = cut[short], stop[short]
            # Left for the next song before its end, without the Skip that a person's client sends.
            self.song_ends[a[cut]] = at[cut] + stop
            then[cut] = np.where(to_song[cut], self.song_ends[a[cut]], then[cut])
            listened[cut] = np.where(to_song[cut], stop, np.nan)

        added, last = np.zeros(len(a), dtype=np.int32), at.copy()
        # A song that plays when the session ends is heard to its end, or until the user leaves.
        left = np.maximum(self.song_ends[a] - at, 0)
        leaves = (unit(hashed(key, counter + np.uint64(LEAVES))) < LEAVE_CHANCE) & (left > 1) & ~scripted
        part = unit(hashed(key, counter + np.uint64(LEAVE_AT)))
        left = np.where(leaves, 1 + (part * (left - 1)).astype(np.int64), left)
        p = np.flatnonzero(playing)
        if p.size:
            pages += self._moments(a, p, at, level, key, counter, waits, ends, left, then, added, last, listened)
        e = np.flatnonzero(ends & ~playing & (prior != NO_SONG))
        if e.size:
            last[e] = at[e] + left[e]
            pages.append(self._playback_ends(a[e], prior[e], level[e], last[e], last[e] - self.song_began[a[e]],
                                             self.item[a[e]] + 1))  # fmt: skip

        stops = ~ends & chain.STOPS_SONG[following] & (prior != NO_SONG)
        if stops.any():
            s, song = a[stops], prior[stops]
            heard = then[stops] - self.song_began[s]
            listened[stops] = np.where(heard >= self._seconds[song], self.catalogue.durations[song], heard)
            self.song[s], self.song_ends[s] = NO_SONG, -FAR
        self.listened[a] = listened
        self.login[a] = np.where(chain.IS_LOGIN[state], np.where(chain.IS_LOGGED_IN[following], 1, 2), 0)

        go = ~ends
        g, to = a[go], following[go]
        self.item[g] += added[go] + 1
        self.state[g], self.at[g] = to, then[go]
        registers = g[chain.REGISTERS[to]]
        self.registered[registers] = np.minimum(self.registered[registers], self.at[registers])
        if to_song.any():
            self._play(a[to_song], self.step[a[to_song]] - np.uint64(1), SONG)
        if ends.any():
            self._end_sessions(a[ends], last[ends])
        return pages

    def _moments(
        self, a: npt.NDArray[np.intp], p: npt.NDArray[np.intp], at: I64, level: I64, key: U64, counter: U64,
        waits: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_], left: I64, then: I64, added: npt.NDArray[np.int32],
        last: I64, listened: npt.NDArray[np.float32],
    ) -> list[Pages]:  # fmt: skip
        """What happens during the songs of a[p]: reaction, pause, resume, skip or end of playback, in this order.

        `left`: seconds of the song that are heard if it is the last one of its session. Changes in place what the rest
        of the step uses: `then` (a pause delays the next song, a skip brings it forward), `added` (items used), `last`
        (time of the last one) and `listened`.
        """
        key, counter, now, paid = key[p], counter[p], at[p], level[p]
        user, song, waits, ends = a[p], self.song[a[p]], waits[p], ends[p]

        def drawn(which: int) -> F64:
            return unit(hashed(key, counter + np.uint64(which)))

        span = np.where(ends, left[p], then[p] - now)
        free = ~self.scripted[user]
        if self.listeners:
            liking, fussiness = self.liking[user].astype(np.float64), self.listeners.fussiness[user].astype(np.float64)
            chance = skip_chance(liking, fussiness) if self._skip_chance else np.zeros(len(user))
            skip = waits & (drawn(SKIPS) < chance) & (span > 1) & free
            at_second = skip_second(drawn(SKIP_AT), np.maximum(span, 2))
        else:
            skip = waits & (drawn(SKIPS) < self._skip_chance) & (span > 1)
            at_second = 1 + (drawn(SKIP_AT) * (span - 1)).astype(np.int64)
        heard = np.where(skip, at_second, span)
        pause = (waits | ends) & (drawn(PAUSES) < self._pause_chance) & free
        paused = np.minimum(exponential(drawn(PAUSE_LENGTH)) * PAUSE_MEAN_SECONDS, MAX_PAUSE_SECONDS)
        length = np.where(pause, 1 + paused.astype(np.int64), 0)
        chance = drawn(REACTS)
        which = (chance[:, None] >= chain.REACTION_SHARES[paid]).sum(axis=1)
        react = self._reactions[which] & free
        if self.listeners:
            self.listeners.feel(user, ~skip, react & (which == chain.ADVERT))
        react_at = now + (drawn(REACT_AT) * 0.5 * heard).astype(np.int64)
        pause_at = now + ((0.5 + 0.5 * drawn(PAUSE_AT)) * heard).astype(np.int64)
        skip_at = now + heard + length

        item = self.item[user] + 1
        pages: list[Pages] = []

        def emit(mask: npt.NDArray[np.bool_], state: I64, when: I64) -> None:
            if mask.any():
                m = np.flatnonzero(mask)
                about = np.where(chain.HAS_SONG[state[m]], song[m], NO_SONG)
                pages.append(self._pages(user[m], when[m], state[m], about, item[m]))
                item[m] += 1
                last[p[m]] = when[m]

        emit(react, chain.REACTION[paid, np.minimum(which, chain.REACTION.shape[1] - 1)], react_at)
        emit(pause, chain.MOMENT["Pause"][paid], pause_at)
        emit(pause, chain.MOMENT["Resume"][paid], pause_at + length)
        emit(skip, chain.MOMENT["Skip"][paid], skip_at)
        if skip.any():
            pages[-1]["listened"] = heard[skip]
            listened[p[skip]] = np.nan
        if ends.any():
            m = np.flatnonzero(ends)
            pages.append(self._playback_ends(user[m], song[m], paid[m], skip_at[m], heard[m], item[m]))
            last[p[m]] = skip_at[m]
        moved = skip | (pause & waits)
        then[p[moved]] = skip_at[moved]
        added[p] = item - self.item[user] - 1
        return pages

    def _pages(
        self, user: npt.NDArray[np.intp], second: I64, state: npt.NDArray[np.integer], song: npt.NDArray[np.integer],
        item: npt.NDArray[np.int32],
    ) -> Pages:  # fmt: skip
        rows = np.empty(len(user), dtype=PAGE)
        rows["second"], rows["who"], rows["session"] = second, user * self.parts + self.part, self.session[user]
        rows["item"], rows["state"], rows["song"], rows["place"] = item, state, song, self.place[user]
        rows["listened"], rows["login"], rows["source"], rows["driven"] = np.nan, 0, 0, 0
        return rows

    def _playback_ends(
        self, user: npt.NDArray[np.intp], song: npt.NDArray[np.int32], level: I64, second: I64, heard: I64,
        item: npt.NDArray[np.int32],
    ) -> Pages:  # fmt: skip
        """The ends of songs that no other page ends. Clients of version 3 send them."""
        rows = self._pages(user, second, chain.MOMENT[PLAYBACK_END][level], song, item)
        rows["listened"] = np.where(heard >= self._seconds[song], self.catalogue.durations[song], heard)
        return rows

    def _scripted_next(
        self, a: npt.NDArray[np.intp], scripted: npt.NDArray[np.bool_], state: npt.NDArray[np.int16], level: I64,
        following: npt.NDArray[np.int16], key: U64, counter: U64,
    ) -> npt.NDArray[np.int16]:  # fmt: skip
        """The next states, where a scripted session has only songs until it ends."""
        goes_on = unit(hashed(key, counter + np.uint64(GOES_ON))) < _GOES_ON[self._kind_of(a)]
        songs = np.where(goes_on, chain.SONG[level], chain.END).astype(np.int16)
        return np.where(scripted & chain.IS_SONG[state], songs, following)

    def _scripted_stop(self, a: npt.NDArray[np.intp], key: U64, counter: U64) -> I64:
        """Seconds after which these accounts leave a song."""
        low, high = _HEARD[self._kind_of(a)].T
        seconds: I64 = low + (unit(hashed(key, counter + np.uint64(SKIP_AT))) * (high - low + 1)).astype(np.int64)
        return seconds

    def _kind_of(self, users: npt.NDArray[np.intp]) -> npt.NDArray[np.int8]:
        return self.listeners.kind[users] if self.listeners else np.zeros(len(users), dtype=np.int8)

    def _play(self, users: npt.NDArray[np.intp], step: U64, draw: int) -> None:
        """Start a new song for each of these users, now. `step`, `draw`: which of the user's draws decides."""
        song: I64
        if self.listeners:
            session, last = self.session[users].astype(np.int64), self.song[users].astype(np.int64)
            choice = self.listeners.choose(users, self.at[users], step, session, last, self.scripted[users])
            song, self.source[users], self.liking[users] = choice.song, choice.source, choice.liking
        else:
            counter = step * np.uint64(DRAWS) + np.uint64(draw)
            song = weighted(self.catalogue.shares, unit(hashed(self.key[users], counter)))
        self.song[users], self.song_began[users] = song, self.at[users]
        self.song_ends[users] = self.at[users] + self._seconds[song]

    def _end_sessions(self, users: npt.NDArray[np.intp], last: I64) -> None:
        self.song[users], self.song_ends[users], self.listened[users], self.login[users] = NO_SONG, -FAR, np.nan, 0
        gone = chain.IS_CANCELLED[self.state[users]]
        if self.listeners:  # whose visit to cancel failed is not asked again
            gone |= self.left[users] < FAR
        self.at[users[gone]] = FAR
        self._begin_sessions(users[~gone], last[~gone])

    def _begin_sessions(self, users: npt.NDArray[np.intp], last: I64) -> None:
        """Start the next session of these users, whose last event was at `last`."""
        start = self._next_start(users, last)
        key, counter = self.key[users], self.step[users] * np.uint64(DRAWS)
        self.step[users] += np.uint64(1)
        if self.listeners:
            left = self._leave(users, last, start)
            if len(left):
                stays = np.ones(len(users), dtype=np.bool_)
                stays[left] = False
                users, last, start, key, counter = users[stays], last[stays], start[stays], key[stays], counter[stays]
        kind = chain.VISITOR[self.state[users]]
        pick = (unit(hashed(key, counter + np.uint64(FIRST_PAGE)))[:, None] >= chain.FIRST_SHARES[kind]).sum(axis=1)
        self.state[users] = chain.FIRST[kind, np.minimum(pick, chain.FIRST.shape[1] - 1)]
        self.at[users], self.item[users] = start, 0
        self.session[users] += 1
        moving = 1.0 - np.exp((last - start) * (MOVES_PER_YEAR / YEAR))
        moves = (unit(hashed(key, counter + np.uint64(MOVES))) < moving) & (self.session[users] > 0)
        if moves.any():
            there = unit(hashed(key[moves], counter[moves] + np.uint64(MOVED_TO)))
            self.place[users[moves]] = weighted(self.population.place_shares, there)
        if self._planted:
            self._script(users, key, counter)

    def _leave(self, users: npt.NDArray[np.intp], last: I64, start: I64) -> npt.NDArray[np.intp]:
        """Let some of these users leave for good in the pause between two sessions; returns which of them.

        Those who cancel are back once more, for the page on which they do.
        """
        if not self.listeners:
            return np.empty(0, dtype=np.intp)
        when, how = self.listeners.leave(users, last, start, self.step[users] - np.uint64(1))
        member = (users * self.parts + self.part < self.population.options.users) | (self.registered[users] < last)
        gone = np.flatnonzero((when >= 0) & (self.session[users] >= 0) & member)
        who, when, state = users[gone], when[gone], self.state[users[gone]]
        self.left[who] = np.minimum(self.left[who], when)
        level = chain.LEVEL[state]
        cancels = chain.IS_LOGGED_IN[state] & (how[gone] < _CANCELS[level])
        self.at[who] = FAR
        back = who[cancels]
        self.state[back] = chain.CANCEL[level[cancels]]
        self.at[back] = np.maximum(when[cancels], last[gone][cancels] + MIN_SESSION_GAP_SECONDS)
        self.item[back] = 0
        self.session[back] += 1
        self.scripted[who] = False
        return gone

    def _script(self, users: npt.NDArray[np.intp], key: U64, counter: U64) -> None:
        """Sessions that a scenario's kind of account drives: logged in, and nothing but songs."""
        kind = self._kind_of(users)
        self.scripted[users] = unit(hashed(key, counter + np.uint64(DRIVEN))) < _DRIVEN[kind]
        driven = users[self.scripted[users]]
        self.state[driven] = chain.SONG[chain.LEVEL[self.state[driven]]]

    def _next_start(self, users: npt.NDArray[np.intp], last: I64) -> I64:
        """When each of these users comes back: an exponential pause, shifted by time of day, thinned on quiet days.

        A start that the daily cycle would shift too early is drawn again from half an hour later, and one that a quiet
        day drops is drawn again from where it was, as in eventsim's pickNextSessionStartTime.
        """
        start, after = np.empty(len(users), dtype=np.int64), last.copy()
        todo = np.arange(len(users))
        while todo.size:
            who = users[todo]
            key, counter = self.key[who], self.step[who] * np.uint64(DRAWS)
            self.step[who] += np.uint64(1)
            gap = exponential(unit(hashed(key, counter + np.uint64(START_GAP)))) * self.session_gap[who]
            zone = self._zone[self.place[who]]
            usual = after[todo] + gap.astype(np.int64) + MIN_SESSION_GAP_SECONDS
            found = self.clock.swung(usual + zone) - zone
            loss = self.clock.loss(found + zone)
            if self._planted:
                found, loss = self._planted_start(who, usual, found, loss)
            early = found < last[todo] + MIN_SESSION_GAP_SECONDS
            lost = unit(hashed(key, counter + np.uint64(LOST))) < loss
            good = ~early & (~lost | (found > self.clock.seconds))
            start[todo] = found
            after[todo] = np.where(early, after[todo] + MIN_SESSION_GAP_SECONDS, found)
            todo = todo[~good]
        if self.population.options.bursts:
            self._rush(users, start, last)
        return start

    def _planted_start(self, users: npt.NDArray[np.intp], usual: I64, found: I64, loss: F64) -> tuple[I64, F64]:
        """Starts and losses where accounts of a kind keep their own hours, weekends included."""
        kind = self._kind_of(users)
        zone, hour = self._zone[self.place[users]], _AT_HOUR[kind]
        local = usual + zone + self.clock.start_epoch
        # Some minutes before or after the hour, differently each day.
        minutes = unit(hashed(self.key[users], self.step[users] * np.uint64(DRAWS) + np.uint64(RUSH_AT)))
        due = usual + (hour * 3600 - local) % DAY + (minutes * 1800).astype(np.int64)
        steady = np.where(hour >= 0, due, usual)
        return np.where(kind == LISTENER, found, steady), np.where(kind == LISTENER, loss, 0.0)

    def _rush(self, users: npt.NDArray[np.intp], start: I64, last: I64) -> None:
        """Bring starts forward into a burst: while it lasts, the rate of starts is `factor` times the usual one."""
        key, counter = self.key[users], self.step[users] * np.uint64(DRAWS)
        self.step[users] += np.uint64(1)
        for number, burst in enumerate(self.population.options.bursts):
            opens = int(burst.at_hour * 3600)
            begin = np.maximum(last + MIN_SESSION_GAP_SECONDS, opens)
            length = np.maximum(np.minimum(start, opens + int(burst.minutes * 60)) - begin, 0)
            chance = 1.0 - np.exp(-(burst.factor - 1) * length / self.session_gap[users])
            draws = key ^ np.uint64(number + 1)
            rush = unit(hashed(draws, counter + np.uint64(RUSH))) < chance
            at = begin + (unit(hashed(draws, counter + np.uint64(RUSH_AT))) * np.maximum(length, 1)).astype(np.int64)
            start[rush] = at[rush]


def _kind_at(auth: str, level: int) -> int:
    return chain.VISITORS.index((auth, LEVELS[level]))


def _kind(auth: str, paid: npt.NDArray[np.bool_]) -> I64:
    return np.where(paid, chain.VISITORS.index((auth, "paid")), chain.VISITORS.index((auth, "free")))
