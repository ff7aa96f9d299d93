"""Single events for tests that need a few with known properties."""

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

from tests.support.lake import Record

_OFFSETS = count()
PLACE = {"city": "Paris", "state": "TX", "zip": "75460", "lat": 33.66, "lon": -95.55}


def at(time: str) -> int:
    """Epoch milliseconds of an ISO time, UTC."""
    return int(datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000)


def record(topic: str, value: bytes, produced: str = "2026-07-01T00:00:00", **more: Any) -> Record:
    """A record with these bytes at the next offset."""
    return Record(topic, next(_OFFSETS), value, at(produced), **more)


def event(topic: str, time: str, user: int | None = 1, session: int | None = 1, **fields: Any) -> Record:
    """An event of a logged-in user (or a guest); `produced` is the time of its record."""
    produced = fields.pop("produced", "2026-07-01T00:00:00")
    body = {"ts": at(time), "level": "free", **PLACE}
    if session is not None:
        body |= {"sessionId": session}
    if user is not None:
        body |= {"userId": user, "gender": "F", "firstName": "A", "lastName": "B", "registration": at("2020-01-01")}
    return record(topic, json.dumps(body | fields).encode(), produced)


def listen(time: str, artist: str = "Nobody", song: str = "Nothing", **fields: Any) -> Record:
    """A listen that names its song."""
    return event("listen_events", time, artist=artist, song=song, duration=fields.pop("duration", 200.0), **fields)


def page(time: str, name: str, **fields: Any) -> Record:
    """A page view."""
    return event("page_view_events", time, page=name, **fields)


def upgrade(time: str, level: str = "free", **fields: Any) -> Record:
    """A change of level from `level`."""
    return event("status_change_events", time, **fields | {"level": level})
