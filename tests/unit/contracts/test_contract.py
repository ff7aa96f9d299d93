"""One definition of the events: everything derived from it agrees, and an edit of it can only add."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from music_platform.cli import contract as release
from music_platform.contracts import events, json_schema, reference
from music_platform.contracts.events import Field, JsonType, Privacy
from music_platform.warehouse.copy import copy_statement
from music_platform.warehouse.schema import OPS_TABLES, tables
from music_spark.shape import RECORD_SCHEMA
from tests.support.payloads import ACCEPTED
from tests.unit.spark.conftest import lake_rows
from tests.unit.spark.test_validity import INVALID

#: Rules that JSON Schema has no words for.
UNSPOKEN = {"ts whole float", "ts too late"}


def test_the_committed_files_are_those_of_the_definition() -> None:
    for name, text in release.schema_files().items():
        assert (release.SCHEMAS / name).read_text() == text, "make contract"
    assert release.released_versions() == list(range(1, json_schema.version() + 1))
    assert release.SOURCES.read_text() == release.sources(), "make contract"
    assert release.MACRO.read_text() == release.macro(), "make contract"


def test_lake_raw_copy_and_dbt_have_the_contracts_columns() -> None:
    lake = [column.column for column in events.lake_columns()]
    enrichment = [column.column for column in events.ENRICHMENT_COLUMNS]
    assert lake == [*RECORD_SCHEMA.names, *enrichment]
    raw = [column.column for column in tables()["RAW.EVENTS"][1]]
    assert raw == [*lake, *(column.column for column in events.LOAD_COLUMNS)]
    statement = copy_statement("T", events.raw_columns(), "S", ["f"], {"batch_id": "1", "loaded_at": "SYSDATE()"})
    assert f"COPY INTO T ({', '.join(raw)})" in statement
    named = {field.column for field in events.FIELDS}
    assert named == {c["x-column"] for kind in events.TOPICS for c in _properties(json_schema.schema(kind, 99))}

    described = {
        (source["name"], table["name"]): [(c["name"], c["description"]) for c in table["columns"]]
        for source in yaml.safe_load(release.SOURCES.read_text())["sources"]
        for table in source["tables"]
    }
    expected = {
        ("raw", "events"): events.raw_columns(),
        **{("raw", table.name): table.columns for table in reference.TABLES},
        **{("ops", name): OPS_TABLES[f"OPS.{name.upper()}"][1] for name in release.OPS_SOURCES},
    }
    assert described == {key: [(c.column, c.description) for c in columns] for key, columns in expected.items()}


def _properties(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [described for _, described in json_schema._fields(schema)]


def test_json_schema_and_the_stream_call_the_same_records_valid() -> None:
    validator = Draft202012Validator(json_schema.schema(events.LISTEN, json_schema.version()))
    candidates = {**{name: payload for name, (payload, _) in INVALID.items()}, **ACCEPTED}
    objects: dict[str, dict[str, Any]] = {}
    for name, payload in candidates.items():
        try:
            found = json.loads(payload) if isinstance(payload, str | bytes) else payload
        except ValueError:
            continue
        if isinstance(found, dict) and name not in UNSPOKEN and "1e400" not in str(payload):
            objects[name] = found
    assert len(objects) > 25
    for (name, found), row in zip(objects.items(), lake_rows(list(objects.values())), strict=True):
        assert validator.is_valid(found) == (row.quarantine_reason is None), name


def test_what_was_released_stays_as_it_was() -> None:
    release.require_additive()


LISTEN = json_schema.schema(events.LISTEN, 2)


def edited(path: str, **changes: Any) -> dict[str, Any]:
    schema = copy.deepcopy(LISTEN)
    schema["properties"][path].update(changes)
    return schema


def test_an_additive_edit_breaks_nothing() -> None:
    schema = copy.deepcopy(LISTEN)
    schema["properties"]["mood"] = {"type": ["string", "null"], "x-since": 4, "x-column": "mood"}
    schema["required"].remove("userId")
    schema["properties"]["lat"] |= {"minimum": -91, "description": "another word"}
    schema["properties"]["status"] = LISTEN["properties"]["status"] | {"type": ["number", "null"]}
    assert json_schema.breaking_changes(LISTEN, schema) == []


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (edited("lat", type=["string", "null"]), "lat: no longer accepts number"),
        (edited("duration", type=["integer", "null"]), "duration: no longer accepts number"),
        (edited("level", type="string"), "level: no longer accepts null"),
        (edited("lat", minimum=0), "lat: minimum raised to 0"),
        (edited("lat", maximum=80), "lat: maximum lowered to 80"),
        (edited("page", maximum=80), "page: maximum lowered to 80"),
        (edited("level", minLength=1), "level: may no longer be empty"),
        (edited("level", **{"x-column": "tier"}), "level: column was level, is tier"),
        (edited("userId", **{"x-column-type": "bigint"}), "userId: column type was string, is bigint"),
        (edited("connection", **{"x-since": 3}), "connection: says version 3, but was released in version 2"),
        ({**LISTEN, "required": [*LISTEN["required"], "level"]}, "level: newly required"),
        ({**LISTEN, "anyOf": LISTEN["anyOf"][:1]}, "anyOf: the fields that name a song have changed"),
    ],
)
def test_a_breaking_edit_is_found(edit: dict[str, Any], complaint: str) -> None:
    assert json_schema.breaking_changes(LISTEN, edit) == [complaint]


def test_a_breaking_edit_of_the_definition_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tuple(
        replace(field, json_type=JsonType.STRING, column_type=None) if field.path == "device.os" else field
        for field in events.FIELDS
        if field.path != "device.type"
    )
    monkeypatch.setattr(events, "FIELDS", broken)
    with pytest.raises(release.BreakingEditError, match=r"listen, version 2: device\.type: removed") as caught:
        release.require_additive()
    assert "device.os" not in str(caught.value)
    assert "version 4" in str(caught.value)


def test_a_later_field_is_read_from_extra_where_the_column_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    later = Field("mood", JsonType.STRING, "Mood of the listener.", "mood", since=4)
    monkeypatch.setattr(events, "FIELDS", (*events.FIELDS, later))
    release.require_additive()
    assert json_schema.version() == 4
    assert '"column": "mood", "path": "mood", "type": "VARCHAR"' in release.macro()
    assert len(release.schema_files()) == 16


def test_every_field_is_classified_and_what_nobody_has_classified_is_personal() -> None:
    """A new field has to be put into one of these sets: whether readers see it is decided, not forgotten."""
    found = {privacy: {f.column for f in events.FIELDS if f.privacy is privacy} for privacy in Privacy}
    assert found[Privacy.PERSONAL] == {"city", "zip", "lat", "lon", "first_name", "last_name"}
    assert found[Privacy.PSEUDONYMOUS] == {"user_id", "session_id", "user_agent", "gender", "registration"}
    assert found[Privacy.OPEN] == {
        "event_id", "schema_version", "ts", "item_in_session", "level", "state", "auth", "page", "method", "status",
        "artist", "song", "duration", "song_id", "artist_id", "success", "device_type", "device_os", "connection",
        "listened_seconds", "country", "time_zone", "level_after", "playback_source",
    }  # fmt: skip
    raw = {column.column: column.privacy for column in events.raw_columns()}
    assert {raw[name] for name in ("extra", "payload", "payload_base64")} == {Privacy.PERSONAL}


def test_a_name_has_one_privacy_in_every_table_because_models_mask_by_name() -> None:
    found: dict[str, set[Privacy]] = {}
    for columns in (events.raw_columns(), *(table.columns for table in reference.TABLES)):
        for column in columns:
            found.setdefault(column.column, set()).add(column.privacy)
    assert {name: privacies for name, privacies in found.items() if len(privacies) > 1} == {}
