"""The wire format: a record's JSON text and its message key.

eventsim's fields come first, in eventsim's order, and ours after them. Texts that repeat (a page, a place with a
browser, a song, a user's names) are rendered once and pasted. That is what makes the simulator fast.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from music_simulator.behaviour import ABOUT_A_SONG, LEVELS, NEXT_SONG, SOURCES, STATES
from music_simulator.catalogue import Catalogue
from music_simulator.clock import Clock
from music_simulator.devices import CONNECTIONS
from music_simulator.disturbances import INVALID, KINDS, MALFORMED, Records, claimed_seconds
from music_simulator.faults import invalid, malformed
from music_simulator.places import COUNTRY, places
from music_simulator.randomness import F64, I64, U64, cumulative_shares, key_of, mix, uniform, weighted
from music_simulator.users import GENDERS, Population

#: A user's n-th session (from 0) has the number user id · SESSIONS_OF_A_USER + n.
SESSIONS_OF_A_USER = 100_000
#: Fields that are not in the contract, for `--unknown-fields`.
UNKNOWN_FIELDS = (b',"abTest":"variant-b"', b',"client":{"build":4211,"beta":true}', b',"tags":["home","discover"]')

_ITEM = b',"itemInSession":'
_KNOWS_USER = np.array([state.knows_user for state in STATES])
_WITH_SONG = np.array([state.page == NEXT_SONG for state in STATES])
_SONG_ID_ONLY = np.array([state.page in ABOUT_A_SONG for state in STATES])
_HEX = np.array([list(b"%02x" % byte) for byte in range(256)], dtype=np.uint8)


def fields(**values: Any) -> bytes:
    """The fields as they appear inside a JSON object."""
    return orjson.dumps(values)[1:-1]


def event_ids(identity: U64) -> list[bytes]:
    """UUIDs of version 8 (RFC 9562, section 5.8: custom) from 64 bits of identity each."""
    words = np.stack([identity, mix(identity ^ np.uint64(0x5EED))], axis=1).astype(">u8")
    raw = words.view(np.uint8).reshape(-1, 16)
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x80
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    text = np.full((len(identity), 36), ord("-"), dtype=np.uint8)
    at = 0
    for start, stop in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 16)):
        width = 2 * (stop - start)
        text[:, at : at + width] = _HEX[raw[:, start:stop]].reshape(len(identity), width)
        at += width + 1
    texts: list[bytes] = text.view("S36").ravel().tolist()
    return texts


def session_ids(records: Records, population: Population) -> I64:
    """Session numbers, from the user's own id (even if they use a shared account) and the number of their session."""
    who: I64 = records["who"].astype(np.int64) + (population.options.first_user + 1)
    return who * SESSIONS_OF_A_USER + records["session"].astype(np.int64)


def heard_seconds(records: Records) -> F64:
    """Seconds heard of the song that each record ends, as they are sent; NaN where it ends none."""
    found: F64 = records["listened"].astype(np.float64).round(3)
    return found


def playback_sources(records: Records, population: Population) -> I64:
    """Index of where the song of each record was started from; a listen and its page view have the same."""
    if not population.options.classic:
        chosen: I64 = records["source"].astype(np.int64)
        return chosen
    parts = records["who"].astype(np.uint64)
    for name, bits in (("session", 20), ("item", 15)):
        parts = (parts << np.uint64(bits)) | records[name].astype(np.uint64)
    chance = uniform(key_of(population.options.seed, "source"), parts)
    return weighted(cumulative_shares(list(SOURCES.values())), chance)


class Wire:
    """Renders records. Keeps the texts that repeat; those of users are rendered for each batch."""

    def __init__(self, population: Population, catalogue: Catalogue, clock: Clock) -> None:
        self._population, self._clock = population, clock
        self._page_of = [
            b"," + fields(page=s.page, auth=s.auth, method=s.method, status=s.status, level=s.level) + _ITEM
            for s in STATES
        ]
        self._auth_of = [b"," + fields(auth=s.auth, level=s.level) + _ITEM for s in STATES]
        self._level_of = [b"," + fields(level=s.level) + _ITEM for s in STATES]
        self._city = [b"," + fields(city=p.city, zip=p.zip, state=p.state) + b"," for p in places()]
        self._agent = [fields(userAgent=agent) for agent in population.devices.user_agents]
        self._coordinates = [b"," + fields(lon=p.lon, lat=p.lat) for p in places()]
        self._where: dict[int, bytes] = {}
        songs = list(zip(
            catalogue.titles, catalogue.artist_of.tolist(), catalogue.durations.tolist(), catalogue.song_ids,
            strict=True,
        ))  # fmt: skip
        self._song = [
            fields(artist=catalogue.artist_names[artist], song=title, duration=duration)
            for title, artist, duration, _ in songs
        ]
        self._song_ids = [
            b"," + fields(songId=song, artistId=catalogue.artist_ids[artist]) for _, artist, _, song in songs
        ]
        self._song_id = [b"," + fields(songId=song) for song in catalogue.song_ids]
        self._device = [b"," + fields(device={"type": d.type, "os": d.os}) for d in population.devices.kinds]
        self._connection = [b"," + fields(connection=name) for name in CONNECTIONS]
        self._zone = [b"," + fields(country=COUNTRY, timeZone=p.time_zone) for p in places()]
        self._source = [b"," + fields(source=name) for name in SOURCES]
        self._level_after = [b"," + fields(levelAfter=LEVELS[s.level == LEVELS[0]]) for s in STATES]
        names = population
        self._first = [b',"firstName":' + orjson.dumps(name) for name in names.first_names]
        self._last = [b',"lastName":' + orjson.dumps(name) for name in names.last_names]
        self._gender = [b"," + fields(gender=name) for name in GENDERS]

    def render(self, records: Records, registered: Callable[[I64], I64]) -> list[bytes]:
        """JSON texts of these records, without line breaks. `registered`: guests' numbers → seconds of registration."""
        if not len(records):
            return []
        state, song = records["state"], records["song"].tolist()
        time = [b"%d" % ms for ms in self._clock.epoch_ms(claimed_seconds(records, self._clock.start_epoch)).tolist()]
        session = [b"%d" % number for number in session_ids(records, self._population).tolist()]
        item = [b"%d" % number for number in records["item"].tolist()]
        where = self._place_and_browser(records)
        user = self._users(records, registered)
        tail = [b',"eventId":"' + text for text in event_ids(records["identity"])]
        end = self._ends(records)
        states = state.tolist()
        out: list[bytes] = [b""] * len(records)
        kinds = records["kind"]
        paste = b"".join

        pages = kinds == KINDS.index("page_view")
        with_song, id_only = _WITH_SONG[state], _SONG_ID_ONLY[state]
        for i in np.flatnonzero(pages & with_song).tolist():
            out[i] = paste((
                b'{"ts":', time[i], b',"sessionId":', session[i], self._page_of[states[i]], item[i], where[i], user[i],
                b",", self._song[song[i]], self._song_ids[song[i]], tail[i], end[i],
            ))  # fmt: skip
        for i in np.flatnonzero(pages & ~with_song).tolist():
            out[i] = paste((
                b'{"ts":', time[i], b',"sessionId":', session[i], self._page_of[states[i]], item[i], where[i], user[i],
                self._song_id[song[i]] if id_only[i] else b"", tail[i], end[i],
            ))  # fmt: skip
        for i in np.flatnonzero(kinds == KINDS.index("listen")).tolist():
            out[i] = paste((
                b"{", self._song[song[i]], b',"ts":', time[i], b',"sessionId":', session[i], self._auth_of[states[i]],
                item[i], where[i], user[i], self._song_ids[song[i]], tail[i], end[i],
            ))  # fmt: skip
        for i in np.flatnonzero(kinds == KINDS.index("status_change")).tolist():
            out[i] = paste((
                b'{"ts":', time[i], b',"sessionId":', session[i], self._auth_of[states[i]], item[i], where[i], user[i],
                tail[i], end[i],
            ))  # fmt: skip
        login = records["login"].tolist()
        for i in np.flatnonzero(kinds == KINDS.index("auth")).tolist():
            success = b',"success":true' if login[i] == 1 else b',"success":false'
            out[i] = paste((
                b'{"ts":', time[i], b',"sessionId":', session[i], self._level_of[states[i]], item[i], where[i], user[i],
                success, tail[i], end[i],
            ))  # fmt: skip
        self._break(records, out)
        return out

    def keys(self, records: Records) -> list[bytes]:
        """Message keys: the user id, or guest-<sessionId> while nobody is logged in."""
        user = self._population.user_id(records["who"].astype(np.int64)).tolist()
        session, known = session_ids(records, self._population).tolist(), _KNOWS_USER[records["state"]].tolist()
        return [b"%d" % u if k else b"guest-%d" % s for u, s, k in zip(user, session, known, strict=True)]

    def _place_and_browser(self, records: Records) -> list[bytes]:
        agents = self._population.user_agent(records["who"].astype(np.int64))
        both = records["place"].astype(np.int64) * len(self._agent) + agents
        for pair in np.unique(both).tolist():
            if pair not in self._where:
                place, agent = divmod(pair, len(self._agent))
                self._where[pair] = self._city[place] + self._agent[agent] + self._coordinates[place]
        texts = self._where
        return [texts[pair] for pair in both.tolist()]

    def _users(self, records: Records, registered: Callable[[I64], I64]) -> list[bytes]:
        known = _KNOWS_USER[records["state"]]
        who, position = np.unique(records["who"], return_inverse=True)
        who = who.astype(np.int64)
        account = self._population.account(who)
        one = self._population.profile(account)
        guests = who >= self._population.options.users
        second = np.where(guests, registered(who), one.registration)
        columns = (
            account + (self._population.options.first_user + 1), one.first_name, one.last_name, one.gender,
            self._clock.epoch_ms(np.where(np.abs(second) < 1 << 40, second, 0)),
        )  # fmt: skip
        first, last, genders = self._first, self._last, self._gender
        texts = [
            b',"userId":%d%b%b%b,"registration":%d' % (user, last[b], first[a], genders[g], time)
            for user, a, b, g, time in zip(*(c.tolist() for c in columns), strict=True)
        ]
        texts.append(b"")
        return [texts[i] for i in np.where(known, position, -1).tolist()]

    def _ends(self, records: Records) -> list[bytes]:
        """Ends of the records: schema version, fields of versions 2 and 3, fields that are not in the contract."""
        ends = [b'","schemaVersion":1}'] * len(records)
        more = np.flatnonzero((records["version"] >= 2) | records["unknown"])
        if not more.size:
            return ends
        some = records[more]
        who = some["who"].astype(np.int64)
        device = self._population.device(who, self._population.user_agent(who)).tolist()
        session = (some["who"].astype(np.uint64) << np.uint64(20)) | some["session"].astype(np.uint64)
        chance = uniform(key_of(self._population.options.seed, "connection"), session)
        connection = (chance * len(CONNECTIONS)).astype(np.int64).tolist()
        extra = (*UNKNOWN_FIELDS, b"")
        unknown = np.where(some["unknown"], some["identity"] % np.uint64(len(UNKNOWN_FIELDS)), len(UNKNOWN_FIELDS))
        unknown = unknown.tolist()
        heard, place = heard_seconds(some).tolist(), some["place"].tolist()
        source, state = playback_sources(some, self._population).tolist(), some["state"].tolist()
        with_source = _WITH_SONG[some["state"]].tolist()
        changes = (some["kind"] == KINDS.index("status_change")).tolist()
        for n, (i, version) in enumerate(zip(more.tolist(), some["version"].tolist(), strict=True)):
            if version == 1:
                ends[i] = b'","schemaVersion":1' + extra[unknown[n]] + b"}"
                continue
            listened = b"" if heard[n] != heard[n] else b',"listenedSeconds":%a' % heard[n]
            since_3 = b"" if version == 2 else b"".join((
                self._zone[place[n]], self._source[source[n]] if with_source[n] else b"",
                self._level_after[state[n]] if changes[n] else b"",
            ))  # fmt: skip
            ends[i] = b"".join((
                b'","schemaVersion":%d' % version, self._device[device[n]], self._connection[connection[n]], listened,
                since_3, extra[unknown[n]], b"}",
            ))  # fmt: skip
        return ends

    def _break(self, records: Records, texts: list[bytes]) -> None:
        for fault, breaking in ((MALFORMED, malformed), (INVALID, invalid)):
            for i in np.flatnonzero(records["fault"] == fault).tolist():
                texts[i] = breaking(texts[i], KINDS[records["kind"][i]], int(records["identity"][i]))
