"""Statements that only an account gets, or that the local warehouse is sent in another form: Snowflake's grammar takes
each of them. What the tests send to the local warehouse is parsed when they end (tests/integration/conftest.py)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from music_platform.settings import Settings
from music_platform.stack.account_doctor import read
from music_platform.warehouse.loader import load
from music_platform.warehouse.schema import provision, tables
from music_platform.warehouse.staging import IN_PLACE, PUT, StagingMethod
from tests.support.snowflake_grammar import LONGEST, refused, shape
from tests.unit.warehouse.test_loads import Account, lake

SETTINGS = Settings(
    _env_file=None,  # type: ignore[call-arg]
    snowflake_account="org-account",
    snowflake_user="MUSIC_PLATFORM",
    snowflake_role="MUSIC_LOADER",
    lake_url="s3a://bucket/lake",
)


class Session:
    """Notes what it is sent, and answers every question with `rows`."""

    role = "MUSIC_LOADER"
    description = ()

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows, self.statements = rows, list[str]()

    def cursor(self) -> "Session":
        return self

    def execute(self, statement: str) -> None:
        self.statements.append(statement)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


def assert_taken(statements: list[str], *beginnings: str) -> None:
    """Snowflake takes the statements, among which there is one with each of these beginnings."""
    assert [text[:80] for text in statements if len(text) > LONGEST] == []
    assert [each for each in beginnings if not any(text.startswith(each) for text in statements)] == []
    assert refused({shape(text): None for text in statements}) == []


@pytest.mark.parametrize(
    ("method", "beginnings"), [(PUT, ("PUT", "COPY INTO", "REMOVE")), (IN_PLACE, ("BEGIN", "UPDATE", "COPY INTO"))]
)
def test_a_load(tmp_path: Path, method: StagingMethod, beginnings: tuple[str, ...]) -> None:
    session = Account(rows=3)
    assert [loaded.rows for loaded in load(session, lake(tmp_path, versions=2), method)] == [6]  # type: ignore[arg-type]
    assert_taken(session.statements, *beginnings)


def columns(keep: Callable[[Any], bool]) -> list[tuple[str, str, str]]:
    """The columns that an account has already, as information_schema shows them."""
    return [
        (*name.split("."), column.column.upper())  # type: ignore[misc]
        for name, (_, found) in tables().items()
        for column in found
        if keep(column)
    ]


def test_the_tables_of_an_account_that_has_none() -> None:
    session = Session([])
    provision(session, SETTINGS)  # type: ignore[arg-type]
    assert any("WITH MASKING POLICY OPS.PERSONAL_TEXT" in statement for statement in session.statements)
    assert_taken(session.statements, "CREATE TABLE IF NOT EXISTS RAW.EVENTS", "CREATE STAGE", "CREATE OR REPLACE VIEW")


def test_the_tables_of_an_account_of_an_earlier_version() -> None:
    """It lacks columns, and some that it has became personal since."""
    session = Session(columns(lambda column: column.column not in ("zip", "row_count")))
    provision(session, SETTINGS)  # type: ignore[arg-type]
    assert any("SET MASKING POLICY OPS.PERSONAL_TEXT FORCE" in statement for statement in session.statements)
    added = "ALTER TABLE RAW.EVENTS ADD COLUMN zip"
    assert_taken(session.statements, added, "ALTER TABLE RAW.EVENTS MODIFY COLUMN", "MERGE INTO OPS.LOAD_STATE")


def test_what_the_doctor_asks() -> None:
    session = Session([])
    read(session, SETTINGS)  # type: ignore[arg-type]
    asked = ("SHOW GRANTS TO ROLE", "SHOW FUTURE GRANTS TO ROLE", "SHOW WAREHOUSES LIKE", "SHOW PARAMETERS LIKE")
    assert_taken(session.statements, *asked, "LIST @")


def test_the_grammar_is_asked_about_what_it_could_refuse() -> None:
    with pytest.raises(AssertionError, match="SHOW GRANTS FROM ROLE"):
        assert_taken(["SHOW GRANTS FROM ROLE music"])
