"""The doctor's checks of the warehouse.

`read` uses only SHOW and LIST, which Snowflake answers without waking a warehouse. `findings` is a pure function of
what was read; it compares the account with the grants in the setup SQL (`account`) and says what to run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from music_platform.settings import Settings
from music_platform.stack.findings import Finding, Verdict
from music_platform.warehouse.account import AUTO_SUSPEND, Account, Grant, grants
from music_platform.warehouse.connection import WarehouseUnreachableError, connect, query_tag, warehouse_address
from music_platform.warehouse.schema import LAKE_FILES_STAGE, LAKE_STAGE

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

#: Administrator roles, which no service should have.
ADMINISTRATORS = frozenset({"ACCOUNTADMIN", "ORGADMIN", "SECURITYADMIN", "SYSADMIN", "USERADMIN"})
#: Maximum AUTO_SUSPEND, in seconds, that the doctor accepts.
LONGEST_IDLE = 300
#: Valid time zones of a user's sessions, whatever the account's defaults are.
TIME_ZONES = frozenset({"UTC", "ETC/UTC"})

ALL_OF_IT = "music-platform snowflake-setup prints the whole setup"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class AccountState:
    """The account's answers. A refusal is a text in place of rows."""

    role: str | None
    grants: Mapping[str, Sequence[Row] | str] = field(default_factory=dict)
    future_grants: Mapping[str, Sequence[Row] | str] = field(default_factory=dict)
    warehouses: Sequence[Row] | str = ()
    parameters: Sequence[Row] | str = ()
    stages: Mapping[str, Sequence[Row] | str] = field(default_factory=dict)


def examine_warehouse(settings: Settings) -> Iterator[Finding]:
    """The doctor's findings on the warehouse of these settings."""
    try:
        with connect(settings, query_tag("command line", "doctor")) as session:
            state = read(session, settings)
    except WarehouseUnreachableError as error:
        advice = "Check SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and SNOWFLAKE_PRIVATE_KEY_PATH: music-platform settings"
        found = f"{warehouse_address(settings)} opens no session: {error.reason}"
        yield Finding("connection", Verdict.BAD, found, advice)
        return
    yield Finding("connection", Verdict.GOOD, f"{warehouse_address(settings)}, user {settings.snowflake_user}")
    yield from findings(state, settings)


def read(session: "SnowflakeConnection", settings: Settings) -> AccountState:
    """Query the account; the local warehouse only for what it supports."""
    account = Account.of(settings)

    def rows(statement: str) -> Sequence[Row] | str:
        from snowflake.connector.errors import Error

        try:
            cursor = session.cursor()
            cursor.execute(statement)
            names = [column.name.lower() for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except Error as error:
            return str(error.msg).splitlines()[-1]

    stages = {LAKE_STAGE: rows(f"LIST @{account.named(LAKE_STAGE)}/events/")}
    if settings.warehouse_is_local:
        return AccountState(session.role, parameters=rows("SHOW PARAMETERS LIKE 'TIMEZONE' IN SESSION"), stages=stages)
    if settings.loads_in_place:
        # The file need not exist. That it can be listed shows that the bucket is readable.
        shown = f"LIST @{account.named(LAKE_FILES_STAGE)}/events/_delta_log/_last_checkpoint"
        stages[LAKE_FILES_STAGE] = rows(shown)
    return AccountState(
        session.role,
        {role: rows(f"SHOW GRANTS TO ROLE {role}") for role in account.roles},
        {role: rows(f"SHOW FUTURE GRANTS TO ROLE {role}") for role in account.roles},
        rows(f"SHOW WAREHOUSES LIKE '{account.warehouse}'"),
        rows(f"SHOW PARAMETERS LIKE 'TIMEZONE' IN USER {account.user}"),
        stages,
    )


def findings(state: AccountState, settings: Settings) -> Iterator[Finding]:
    """Findings about the account's state."""
    account = Account.of(settings)
    if not settings.warehouse_is_local:
        yield _role(state.role, account)
        for role in account.roles:
            yield _grants(role, account, state)
        yield _warehouse(state.warehouses, account)
        yield _sql_role(account)
    yield _time_zone(state.parameters, account, settings)
    for stage, found in state.stages.items():
        yield _stage(stage, found, account)


def _role(role: str | None, account: Account) -> Finding:
    if role is None:
        advice = f"SNOWFLAKE_ROLE={account.loader}; GRANT ROLE {account.loader} TO USER {account.user}"
        return Finding("role", Verdict.BAD, "the session has none", advice)
    if role.upper() in ADMINISTRATORS:
        found = f"sessions run as {role}, which may do anything"
        return Finding("role", Verdict.BAD, found, f"SNOWFLAKE_ROLE={account.loader}; {ALL_OF_IT}")
    if role.upper() != account.loader.upper():
        found = f"{role}, not {account.loader}"
        return Finding("role", Verdict.BAD, found, f"GRANT ROLE {account.loader} TO USER {account.user}")
    return Finding("role", Verdict.GOOD, role)


def _sql_role(account: Account) -> Finding:
    role = account.reader
    if role.upper() in {account.loader.upper(), account.transformer.upper(), *ADMINISTRATORS}:
        found = f"music-platform sql runs as {role}, which sees personal columns unmasked"
        return Finding("sql role", Verdict.BAD, found, "Set SNOWFLAKE_READ_ROLE to a role that only reads, or unset it")
    found = f"music-platform sql runs as {role}, which sees personal columns masked"
    return Finding("sql role", Verdict.GOOD, found)


def missing_grants(wanted: Sequence[Grant], present: Sequence[Row], future: Sequence[Row]) -> list[str]:
    """The GRANT statements for grants that are wanted but missing.

    `present` and `future` are the rows of SHOW GRANTS TO ROLE and SHOW FUTURE GRANTS TO ROLE.
    """
    existing = {(str(row["privilege"]).upper(), _kind(row["granted_on"]), _plain(row["name"])) for row in present}
    in_future = {
        # The name is <database>.<schema>.<KIND>, the last part in angle brackets.
        (str(row["privilege"]).upper(), _kind(row["grant_on"]), _plain(row["name"]).rpartition(".")[0])
        for row in future
    }
    statements = []
    for grant in wanted:
        granted = in_future if grant.every else existing
        lacking = tuple(p for p in grant.privileges if (p, grant.kind, grant.name.upper()) not in granted)
        if lacking:
            statements += Grant(lacking, grant.kind, grant.name, grant.role, grant.every).statements()
    return statements


def _kind(shown: object) -> str:
    return str(shown).upper().replace("_", " ")


def _plain(name: object) -> str:
    return str(name).upper().replace('"', "")


def _grants(role: str, account: Account, state: AccountState) -> Finding:
    present, future = state.grants.get(role, ()), state.future_grants.get(role, ())
    if isinstance(present, str):
        return Finding("grants", Verdict.BAD, f"{role}: {present}", f"CREATE ROLE IF NOT EXISTS {role}; {ALL_OF_IT}")
    wanted = [grant for grant in grants(account) if grant.role == role]
    # A user who may not see future grants gets no finding about them.
    known = wanted if not isinstance(future, str) else [grant for grant in wanted if not grant.every]
    missing = missing_grants(known, present, future if not isinstance(future, str) else ())
    if missing:
        more = f" … and {len(missing) - 3} more: {ALL_OF_IT}" if len(missing) > 3 else ""
        found = f"{role} lacks {len(missing)} of its grants"
        return Finding("grants", Verdict.BAD, found, f"USE ROLE SECURITYADMIN; {'; '.join(missing[:3])}{more}")
    return Finding("grants", Verdict.GOOD, f"{role} has all the grants it needs")


def _warehouse(rows: Sequence[Row] | str, account: Account) -> Finding:
    name = account.warehouse
    visible = [] if isinstance(rows, str) else rows
    row = next((row for row in visible if _plain(row["name"]) == name.upper()), None)
    if row is None:
        found = f"{name} does not exist, or no role of {account.user} may use it"
        return Finding("warehouse", Verdict.BAD, found, f"SNOWFLAKE_WAREHOUSE=<another>; {ALL_OF_IT}")
    found = f"{name}, {row.get('size')}, {str(row.get('state')).lower()}"
    try:
        idle = int(str(row.get("auto_suspend")))
    except ValueError:
        idle = 0
    if not 0 < idle <= LONGEST_IDLE:
        problem = f"stays awake for {idle} s" if idle else "never suspends itself"
        return Finding(
            "warehouse", Verdict.BAD, f"{found}: {problem}", f"ALTER WAREHOUSE {name} SET AUTO_SUSPEND = {AUTO_SUSPEND}"
        )
    if str(row.get("resource_monitor")).lower() in ("none", "null", ""):
        advice = f"USE ROLE ACCOUNTADMIN; ALTER WAREHOUSE {name} SET RESOURCE_MONITOR = <monitor>"
        return Finding("warehouse", Verdict.NOTE, f"{found}: no resource monitor limits its credits", advice)
    return Finding("warehouse", Verdict.GOOD, f"{found}, suspends itself after {idle} s")


def _time_zone(rows: Sequence[Row] | str, account: Account, settings: Settings) -> Finding:
    known = [] if isinstance(rows, str) else rows
    value = next((str(row["value"]) for row in known if str(row["key"]).upper() == "TIMEZONE"), None)
    whose = "sessions" if settings.warehouse_is_local else f"sessions of {account.user}"
    if value is None or value.upper() not in TIME_ZONES:
        advice = f"ALTER USER {account.user} SET TIMEZONE = 'UTC'"
        return Finding("time zone", Verdict.BAD, f"{whose} use {value or 'an unknown zone'}, not UTC", advice)
    return Finding("time zone", Verdict.GOOD, f"{whose} use UTC")


def _stage(stage: str, found: Sequence[Row] | str, account: Account) -> Finding:
    if isinstance(found, str) and stage == LAKE_FILES_STAGE:
        advice = f"DESC INTEGRATION {account.integration}; does the bucket trust it? {ALL_OF_IT}"
        return Finding("stage", Verdict.BAD, f"{stage}: {found}", advice)
    if isinstance(found, str):
        return Finding("stage", Verdict.NOTE, f"{stage}: {found}", "music-platform up creates it")
    if stage == LAKE_FILES_STAGE:
        return Finding("stage", Verdict.GOOD, f"{stage} reads {account.lake}")
    return Finding("stage", Verdict.GOOD, f"{stage}: {len(found)} files are waiting to be loaded")
