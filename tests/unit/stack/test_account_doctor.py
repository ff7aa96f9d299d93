"""What the doctor makes of an account's answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from music_platform.settings import Settings
from music_platform.stack.account_doctor import AccountState, findings, read
from music_platform.stack.findings import Finding, Verdict
from music_platform.warehouse.account import Account, grants

SETTINGS = Settings(
    _env_file=None,  # type: ignore[call-arg]
    snowflake_account="org-account",
    snowflake_user="MUSIC_PLATFORM",
    snowflake_role="MUSIC_LOADER",
    lake_url="s3a://bucket/lake",
)
ACCOUNT = Account.of(SETTINGS)


def shown(role: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """SHOW GRANTS and SHOW FUTURE GRANTS of a role that has all of its grants."""
    present, future = [], []
    for grant in grants(ACCOUNT):
        for privilege in grant.privileges if grant.role == role else ():
            kind = grant.kind.replace(" ", "_")
            if grant.every:
                future.append({"privilege": privilege, "grant_on": kind, "name": f"{grant.name}.<{kind}>"})
            else:
                present.append({"privilege": privilege, "granted_on": kind, "name": grant.name})
    return present, future


WAREHOUSE = {"name": "MUSIC_WH", "state": "SUSPENDED", "size": "X-Small", "auto_suspend": 60,
             "resource_monitor": "MUSIC_WH"}  # fmt: skip
UTC = {"key": "TIMEZONE", "value": "UTC"}
READY = AccountState(
    "MUSIC_LOADER",
    {role: shown(role)[0] for role in ACCOUNT.roles},
    {role: shown(role)[1] for role in ACCOUNT.roles},
    [WAREHOUSE],
    [UTC],
    {"RAW.LAKE": [], "RAW.LAKE_FILES": []},
)


def wrong(state: AccountState) -> list[Finding]:
    return [finding for finding in findings(state, SETTINGS) if finding.verdict is not Verdict.GOOD]


def test_an_account_that_is_set_up_is_good() -> None:
    assert wrong(READY) == []
    found = [finding.what for finding in findings(READY, SETTINGS)]
    assert found == ["role", "grants", "grants", "grants", "warehouse", "sql role", "time zone", "stage", "stage"]


def test_the_role_of_sql_is_named() -> None:
    (found,) = [finding.found for finding in findings(READY, SETTINGS) if finding.what == "sql role"]
    assert found == "music-platform sql runs as MUSIC_READER, which sees personal columns masked"


@pytest.mark.parametrize(
    ("change", "what", "said", "advice"),
    [
        ({"role": None}, "role", "none", "SNOWFLAKE_ROLE=MUSIC_LOADER"),
        ({"role": "ACCOUNTADMIN"}, "role", "may do anything", "SNOWFLAKE_ROLE=MUSIC_LOADER"),
        ({"role": "PUBLIC"}, "role", "PUBLIC, not MUSIC_LOADER", "GRANT ROLE MUSIC_LOADER TO USER MUSIC_PLATFORM"),
        ({"warehouses": []}, "warehouse", "does not exist", "snowflake-setup"),
        ({"warehouses": "SQL access control error"}, "warehouse", "does not exist", "snowflake-setup"),
        ({"warehouses": [WAREHOUSE | {"auto_suspend": None}]}, "warehouse", "never suspends itself",
         "ALTER WAREHOUSE MUSIC_WH SET AUTO_SUSPEND = 60"),
        ({"warehouses": [WAREHOUSE | {"auto_suspend": 3600}]}, "warehouse", "stays awake for 3600 s",
         "ALTER WAREHOUSE MUSIC_WH SET AUTO_SUSPEND = 60"),
        ({"warehouses": [WAREHOUSE | {"resource_monitor": "null"}]}, "warehouse", "no resource monitor",
         "SET RESOURCE_MONITOR"),
        ({"parameters": [UTC | {"value": "America/Los_Angeles"}]}, "time zone", "America/Los_Angeles",
         "ALTER USER MUSIC_PLATFORM SET TIMEZONE = 'UTC'"),
        ({"parameters": "not allowed"}, "time zone", "unknown zone", "ALTER USER MUSIC_PLATFORM"),
        ({"stages": {"RAW.LAKE": "Stage 'RAW.LAKE' does not exist or not authorized."}}, "stage", "not authorized",
         "music-platform up"),
        ({"stages": {"RAW.LAKE_FILES": "Access Denied"}}, "stage", "Access Denied", "DESC INTEGRATION MUSIC_LAKE"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_with_what_to_run(change: dict[str, Any], what: str, said: str, advice: str) -> None:
    (finding,) = wrong(replace(READY, **change))
    assert finding.what == what
    assert said in finding.found
    assert advice in finding.advice


def test_missing_grants_are_named_as_the_statements_to_run() -> None:
    less = [row for row in READY.grants["MUSIC_TRANSFORMER"] if "OPS.BUILDS" not in row["name"]]
    (finding,) = wrong(replace(READY, grants={**READY.grants, "MUSIC_TRANSFORMER": less}))
    assert finding.found == "MUSIC_TRANSFORMER lacks 1 of its grants"
    grant = "GRANT INSERT, UPDATE, DELETE ON TABLE MUSIC.OPS.BUILDS TO ROLE MUSIC_TRANSFORMER"
    assert f"USE ROLE SECURITYADMIN; {grant}" in finding.advice
    (finding,) = wrong(replace(READY, future_grants={**READY.future_grants, "MUSIC_READER": []}))
    assert "GRANT SELECT ON FUTURE VIEWS IN SCHEMA MUSIC.GOLD TO ROLE MUSIC_READER" in finding.advice or (
        "snowflake-setup prints the whole setup" in finding.advice
    )
    (finding,) = wrong(replace(READY, grants={**READY.grants, "MUSIC_READER": "Role 'MUSIC_READER' does not exist"}))
    assert "CREATE ROLE IF NOT EXISTS MUSIC_READER" in finding.advice


class Answers:
    """A cursor that answers by what a statement begins with."""

    def __init__(self, answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self.answers = answers
        self.sent: list[str] = []
        self.role = "MUSIC_LOADER"

    def cursor(self) -> "Answers":
        return self

    def execute(self, statement: str) -> None:
        self.sent.append(statement)
        self.rows = next((rows for start, rows in self.answers.items() if statement.startswith(start)), [])

    @property
    def description(self) -> Iterator[Any]:
        return (type("Column", (), {"name": name.upper()}) for name in (self.rows[0] if self.rows else {}))

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.rows]


def test_only_questions_that_wake_no_warehouse_are_asked() -> None:
    session = Answers({"SHOW WAREHOUSES": [WAREHOUSE], "SHOW PARAMETERS": [UTC]})
    state = read(session, SETTINGS)  # type: ignore[arg-type]
    assert state.warehouses == [WAREHOUSE]
    assert state.parameters == [UTC]
    assert {statement.split()[0] for statement in session.sent} == {"SHOW", "LIST"}
    assert "SHOW PARAMETERS LIKE 'TIMEZONE' IN USER MUSIC_PLATFORM" in session.sent
    assert set(state.grants) == set(ACCOUNT.roles)


@pytest.mark.parametrize("role", ["MUSIC_LOADER", "music_transformer", "SYSADMIN", "ACCOUNTADMIN"])
def test_a_role_that_sees_through_the_masks_is_not_for_reading(role: str) -> None:
    settings = SETTINGS.model_copy(update={"snowflake_read_role": role})
    (found,) = [finding for finding in findings(READY, settings) if finding.what == "sql role"]
    assert (found.verdict, "unmasked" in found.found) == (Verdict.BAD, True)
    assert "SNOWFLAKE_READ_ROLE" in found.advice
