"""What the platform needs in a Snowflake account: roles, grants, users, a warehouse, masking policies, a stage.

`music-platform snowflake-setup` prints it as SQL for an administrator to read and run. The platform itself runs none of
it, and none of its roles could. Every statement can be run again: existing objects stay, and policies, limits and keys
are set to those of the latest run. `doctor` compares the account with the same list of grants.

Three roles: one loads RAW and writes OPS, one builds the models, one reads. The reading role has no grant on RAW and
STAGING. The build that creates a model's table grants it to the reading role after masking the personal columns
(dbt_project/macros/readers.sql), so that they can never be read unmasked.
"""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Literal

from music_platform.contracts.events import SNOWFLAKE_TYPES, ColumnType
from music_platform.errors import PlatformError
from music_platform.lake.paths import stage_url
from music_platform.settings import Settings
from music_platform.warehouse.connection import SESSION_PARAMETERS
from music_platform.warehouse.schema import (
    BUILDS,
    CHECK_RESULTS,
    CHECKED_BATCHES,
    DISPLACED_EVENTS,
    LAKE_FILES_STAGE,
    LAKE_STAGE,
    MASKING_POLICIES,
    MODEL_VERSIONS,
    SCHEMAS,
    TOUCHED_DATES,
    create_table,
    literal,
    tables,
)

#: Seconds without a statement after which the warehouse suspends. It is billed for at least a minute.
AUTO_SUSPEND = 60
#: Seconds after which a statement is cancelled, so that one that hangs does not cost a whole night.
STATEMENT_TIMEOUT = 3600

#: What the reading role sees in a personal column.
_MASKED = {ColumnType.STRING: "'***'", ColumnType.DOUBLE: "NULL", ColumnType.VARIANT: "NULL"}

#: A name that SQL takes without quotes.
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
#: Snowflake's reserved keywords, which can be names only in quotes.
_RESERVED = frozenset(
    """
    ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS
    CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS FALSE
    FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS ISSUE
    JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION QUALIFY
    REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE
    TRY_CAST UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH
    """.split()  # noqa: SIM905
)


class KeyFileError(PlatformError):
    """A key file cannot be read."""


class NameNeedsQuotesError(PlatformError):
    """A name in the settings needs quotes in SQL."""


class NetworkError(PlatformError):
    """A range of addresses cannot be parsed."""


@dataclass(frozen=True)
class Account:
    """Names of the account's objects. Names that the settings leave out are derived from the database's."""

    database: str
    warehouse: str
    loader: str
    transformer: str
    reader: str
    user: str
    dashboard_user: str
    #: The lake's folder as Snowflake writes it (s3://…/, gcs://…/) if COPY reads it in place; None for PUT.
    lake: str | None

    @classmethod
    def of(cls, settings: Settings) -> "Account":
        """The names according to the settings."""
        database = settings.snowflake_database
        return cls(
            database,
            settings.snowflake_warehouse or f"{database}_WH",
            settings.snowflake_role or f"{database}_LOADER",
            settings.snowflake_transform_role or f"{database}_TRANSFORMER",
            str(settings.snowflake_read_role),
            settings.snowflake_user,
            f"{settings.snowflake_user}_DASHBOARD",
            stage_url(settings.lake_root) if settings.loads_in_place else None,
        )

    def require_plain_names(self) -> None:
        """Raises NameNeedsQuotesError. Without quotes, SQL would read such a name as another one or as no name."""
        named = {
            "SNOWFLAKE_DATABASE": self.database,
            "SNOWFLAKE_WAREHOUSE": self.warehouse,
            "SNOWFLAKE_ROLE": self.loader,
            "SNOWFLAKE_TRANSFORM_ROLE": self.transformer,
            "SNOWFLAKE_READ_ROLE": self.reader,
            "SNOWFLAKE_USER": self.user,
        }
        for setting, name in named.items():
            if not _PLAIN_NAME.fullmatch(name) or name.upper() in _RESERVED:
                raise NameNeedsQuotesError(
                    f"{setting} is {name!r}, a name that SQL takes in quotes only. snowflake-setup writes names "
                    "without quotes: a letter or _, then letters, digits, _ or $, and no keyword. Set another name."
                )

    @property
    def network_policy(self) -> str:
        """The service users' network policy."""
        return f"{self.database}_SERVICES"

    @property
    def integration(self) -> str:
        """The storage integration through which the account reads the lake."""
        return f"{self.database}_LAKE"

    @property
    def roles(self) -> tuple[str, str, str]:
        """The three roles."""
        return self.loader, self.transformer, self.reader

    def named(self, name: str) -> str:
        """The full name of a table, stage or policy in a schema."""
        return f"{self.database}.{name}"


Kind = Literal["DATABASE", "SCHEMA", "WAREHOUSE", "TABLE", "VIEW", "STAGE", "MASKING POLICY"]


@dataclass(frozen=True)
class Grant:
    """Privileges of a role on one object, or on every object of a kind in a schema.

    `kind` is in the singular. `every`: on all existing and future objects; `name` is then the schema.
    """

    privileges: tuple[str, ...]
    kind: Kind
    name: str
    role: str
    every: bool = False

    def statements(self) -> list[str]:
        """The GRANT statements."""
        privileges = ", ".join(self.privileges)
        if not self.every:
            return [f"GRANT {privileges} ON {self.kind} {self.name} TO ROLE {self.role}"]
        return [
            f"GRANT {privileges} ON {which} {self.kind}S IN SCHEMA {self.name} TO ROLE {self.role}"
            for which in ("ALL", "FUTURE")
        ]


def grants(account: Account) -> list[Grant]:
    """Every grant that the three roles need, and no others."""
    load, build, read = account.roles

    def schema(name: str, *privileges: str) -> tuple[tuple[str, ...], Kind, str]:
        return ("USAGE", *privileges), "SCHEMA", account.named(name)

    found = [Grant(("USAGE",), "WAREHOUSE", account.warehouse, role) for role in account.roles]
    found += [Grant(("USAGE",), "DATABASE", account.database, role) for role in account.roles]
    found += [
        Grant(*schema("RAW", "CREATE TABLE", "CREATE STAGE"), load),
        Grant(*schema("OPS", "CREATE TABLE", "CREATE VIEW"), load),
        Grant(*schema("RAW"), build),
        Grant(("SELECT",), "TABLE", account.named("RAW"), build, every=True),
        Grant(*schema("OPS", "CREATE TABLE", "CREATE VIEW"), build),
        Grant(("SELECT",), "TABLE", account.named("OPS"), build, every=True),
        # A build marks the row of the one before it, and so does a version of what is learned.
        *(
            Grant(("INSERT", "UPDATE", "DELETE"), "TABLE", account.named(ledger), build)
            for ledger in (BUILDS, MODEL_VERSIONS)
        ),
        *(
            Grant(("INSERT", "DELETE"), "TABLE", account.named(ledger), build)
            for ledger in (TOUCHED_DATES, DISPLACED_EVENTS, CHECKED_BATCHES, CHECK_RESULTS)
        ),
        *(Grant(*schema(name, "CREATE TABLE", "CREATE VIEW"), build) for name in SCHEMAS if name not in ("RAW", "OPS")),
        # What models say is loaded through a stage of the role's own.
        Grant(("CREATE STAGE",), "SCHEMA", account.named("GOLD"), build),
        *(Grant(*schema(name), read) for name in ("SILVER", "GOLD", "OPS")),
        *(Grant(("SELECT",), "VIEW", account.named(name), read, every=True) for name in ("SILVER", "GOLD", "OPS")),
        *(
            Grant(("APPLY",), "MASKING POLICY", account.named(policy), role)
            for policy in MASKING_POLICIES.values()
            for role in (load, build)
        ),
    ]
    if account.lake is not None:
        found.append(Grant(("USAGE",), "STAGE", account.named(LAKE_FILES_STAGE), load))
    return found


@dataclass(frozen=True)
class Step:
    """Statements that belong together, with the reason for them and the role that runs them."""

    why: str
    role: str
    statements: tuple[str, ...]


def setup(
    account: Account,
    user_key: str,
    dashboard_key: str | None,
    monthly_credits: int,
    aws_role: str | None,
    *,
    next_user_key: str | None = None,
    next_dashboard_key: str | None = None,
    networks: Sequence[str] = (),
) -> list[Step]:
    """The setup, in order. Keys are public keys in base64; `aws_role` is the ARN of the role that may read the bucket.

    The next keys are valid alongside the current ones while clients change over. `networks`, such as 192.0.2.0/24, are
    the addresses from which the service users may log in. Without any, no network policy is created or changed.
    ACCOUNTADMIN is used only where Snowflake requires it: for the resource monitor and the storage integration.
    Raises NameNeedsQuotesError and NetworkError.
    """
    account.require_plain_names()
    loader, _, reader = account.roles
    users = [account.user]
    statements = _user(account, account.user, (user_key, next_user_key), loader, account.roles)
    if dashboard_key:
        users.append(account.dashboard_user)
        statements += _user(account, account.dashboard_user, (dashboard_key, next_dashboard_key), reader, (reader,))
    why = (
        "Service users with a key pair, no password and only their own roles. A second key (--next-key) is valid "
        "alongside the first while clients change over; without the option it is removed."
    )
    return [
        *_roles(account),
        *_warehouse(account, monthly_credits),
        _policies(account),
        *(_external_stage(account, account.lake, aws_role) if account.lake is not None else ()),
        *_tables_and_grants(account),
        Step(why, "SECURITYADMIN", tuple(statements)),
        *(_network(account, networks, users) if networks else ()),
    ]


def script(steps: Iterable[Step]) -> str:
    """The steps as one SQL script."""
    lines = []
    for step in steps:
        lines += [f"-- {line}" for line in textwrap.wrap(step.why, 110)]
        lines += [f"USE ROLE {step.role};", *(f"{statement};" for statement in step.statements), ""]
    return "\n".join(lines)


def _roles(account: Account) -> list[Step]:
    why = (
        "One role each for loading, transforming and reading. SYSADMIN inherits them, so that it can administer what "
        "they own. So SYSADMIN, ACCOUNTADMIN above it, and everyone who is granted one of the first two roles see "
        "personal columns unmasked."
    )
    return [
        Step(why, "USERADMIN", tuple(f"CREATE ROLE IF NOT EXISTS {role}" for role in account.roles)),
        Step("", "SECURITYADMIN", tuple(f"GRANT ROLE {role} TO ROLE SYSADMIN" for role in account.roles)),
    ]


def _warehouse(account: Account, monthly_credits: int) -> list[Step]:
    name = account.warehouse
    return [
        Step(
            "The virtual warehouse, which suspends while it is idle, the database and the schemas.",
            "SYSADMIN",
            (
                f"CREATE WAREHOUSE IF NOT EXISTS {name} WAREHOUSE_SIZE = 'XSMALL' "
                f"AUTO_SUSPEND = {AUTO_SUSPEND} AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE",
                f"ALTER WAREHOUSE {name} SET AUTO_SUSPEND = {AUTO_SUSPEND}",
                f"ALTER WAREHOUSE {name} SET STATEMENT_TIMEOUT_IN_SECONDS = {STATEMENT_TIMEOUT}",
                f"CREATE DATABASE IF NOT EXISTS {account.database}",
                *(f"CREATE SCHEMA IF NOT EXISTS {account.named(schema)}" for schema in SCHEMAS),
            ),
        ),
        Step(
            "A monthly limit of credits. Once it is reached, running statements finish and no new ones start.",
            "ACCOUNTADMIN",
            (
                f"CREATE RESOURCE MONITOR IF NOT EXISTS {name} WITH CREDIT_QUOTA = {monthly_credits} "
                "FREQUENCY = MONTHLY START_TIMESTAMP = IMMEDIATELY "
                "TRIGGERS ON 80 PERCENT DO NOTIFY ON 100 PERCENT DO SUSPEND",
                f"ALTER RESOURCE MONITOR {name} SET CREDIT_QUOTA = {monthly_credits}",
                f"ALTER WAREHOUSE {name} SET RESOURCE_MONITOR = {name}",
            ),
        ),
    ]


def _tables_and_grants(account: Account) -> list[Step]:
    privileges = [statement for grant in grants(account) for statement in grant.statements()]
    by_name = tuple(statement for statement in privileges if " ON TABLE " in statement)
    return [
        Step(
            "Grants on existing and future objects.",
            "SECURITYADMIN",
            tuple(statement for statement in privileges if statement not in by_name),
        ),
        Step(
            "The tables of RAW and OPS belong to the loading role.",
            account.loader,
            (
                f"USE DATABASE {account.database}",
                *(create_table(name, about, columns) for name, (about, columns) in tables().items()),
                f"CREATE STAGE IF NOT EXISTS {LAKE_STAGE}",
            ),
        ),
        Step("Grants on tables by name.", "SECURITYADMIN", by_name),
    ]


def _policies(account: Account) -> Step:
    return Step(
        "Masking policies, which hide personal columns (music_platform/contracts) from all but the roles that load and "
        "build, and those that inherit them: SYSADMIN and ACCOUNTADMIN. An existing policy gets the body of this run, "
        "because the roles may have been renamed: a transformer that the old body does not list would read '***' and "
        "write it into the marts. They need Snowflake's Enterprise Edition.",
        "SYSADMIN",
        tuple(statement for column_type in MASKING_POLICIES for statement in _policy(account, column_type)),
    )


def _policy(account: Account, column_type: ColumnType) -> list[str]:
    name, sql_type = account.named(MASKING_POLICIES[column_type]), SNOWFLAKE_TYPES[column_type]
    allowed = " OR ".join(f"IS_ROLE_IN_SESSION('{role.upper()}')" for role in (account.loader, account.transformer))
    body = f"CASE WHEN {allowed} THEN personal ELSE {_MASKED[column_type]} END"
    return [
        f"CREATE MASKING POLICY IF NOT EXISTS {name} AS (personal {sql_type}) RETURNS {sql_type} -> {body}",
        f"ALTER MASKING POLICY {name} SET BODY -> {body}",
    ]


def _external_stage(account: Account, lake: str, aws_role: str | None) -> list[Step]:
    provider = "'GCS'" if lake.startswith("gcs:") else f"'S3' STORAGE_AWS_ROLE_ARN = {literal(aws_role or '')}"
    return [
        Step(
            "Access to the lake's files in place. DESC INTEGRATION shows the identity that needs read access to the "
            "bucket (docs/guide/production.md).",
            "ACCOUNTADMIN",
            (
                f"CREATE STORAGE INTEGRATION IF NOT EXISTS {account.integration} TYPE = EXTERNAL_STAGE "
                f"STORAGE_PROVIDER = {provider} ENABLED = TRUE STORAGE_ALLOWED_LOCATIONS = ({literal(lake)})",
                f"GRANT USAGE ON INTEGRATION {account.integration} TO ROLE SYSADMIN",
                f"DESC INTEGRATION {account.integration}",
            ),
        ),
        Step(
            "",
            "SYSADMIN",
            (
                f"CREATE STAGE IF NOT EXISTS {account.named(LAKE_FILES_STAGE)} URL = {literal(lake)} "
                f"STORAGE_INTEGRATION = {account.integration}",
            ),
        ),
    ]


def _network(account: Account, networks: Sequence[str], users: Iterable[str]) -> list[Step]:
    for network in networks:
        try:
            IPv4Network(network)
        except ValueError as error:
            raise NetworkError(
                f"{network!r} is no range of IPv4 addresses: {error}. Write it as 192.0.2.0/24."
            ) from None
    policy, listed = account.network_policy, ", ".join(map(literal, networks))
    return [
        Step(
            "The service users can log in from these addresses only, even with a stolen key.",
            "SECURITYADMIN",
            (
                f"CREATE NETWORK POLICY IF NOT EXISTS {policy} ALLOWED_IP_LIST = ({listed})",
                f"ALTER NETWORK POLICY {policy} SET ALLOWED_IP_LIST = ({listed})",
                *(f"ALTER USER {user} SET NETWORK_POLICY = {policy}" for user in users),
            ),
        )
    ]


#: What each of the three roles is for, in the order of `Account.roles`; the module's roles are named after it.
DUTIES = ("loader", "transformer", "reader")


def module_setup() -> dict[str, Any]:
    """What `deploy/tofu/snowflake` makes, as its setup.json: without the database's name, and with duties for roles."""
    # A lake in an object store, as the module leaves out the stage's grant where there is none.
    names = Account("", "", *DUTIES, "", "", "s3://bucket/lake/")
    return {
        "duties": list(DUTIES),
        "unmasked": [names.loader, names.transformer],
        "auto_suspend_seconds": AUTO_SUSPEND,
        "statement_timeout_seconds": STATEMENT_TIMEOUT,
        "session_parameters": SESSION_PARAMETERS,
        "schemas": list(SCHEMAS),
        "lake_stage": LAKE_FILES_STAGE,
        "masking_policies": {
            policy.split(".")[1]: {
                "schema": policy.split(".")[0],
                "type": SNOWFLAKE_TYPES[column_type],
                "masked": _MASKED[column_type],
            }
            for column_type, policy in MASKING_POLICIES.items()
        },
        "tables": {name: create_table(name, about, columns) for name, (about, columns) in tables().items()},
        "grants": [
            {
                "duty": grant.role,
                "privileges": list(grant.privileges),
                "kind": grant.kind,
                "name": grant.name.removeprefix("."),
                "every": grant.every,
            }
            for grant in grants(names)
        ],
    }


def _user(account: Account, user: str, keys: tuple[str, str | None], role: str, roles: Iterable[str]) -> list[str]:
    key, next_key = keys
    properties = {
        "RSA_PUBLIC_KEY": literal(key),
        "DEFAULT_ROLE": role,
        # Otherwise a session has all of the user's roles at once and sees what any of them may see.
        "DEFAULT_SECONDARY_ROLES": "()",
        "DEFAULT_WAREHOUSE": account.warehouse,
        "DEFAULT_NAMESPACE": account.database,
        **{name: literal(value) if isinstance(value, str) else value for name, value in SESSION_PARAMETERS.items()},
    }
    return [
        f"CREATE USER IF NOT EXISTS {user} TYPE = SERVICE",
        *(f"ALTER USER {user} SET {name} = {value}" for name, value in properties.items()),
        f"ALTER USER {user} SET RSA_PUBLIC_KEY_2 = {literal(next_key)}"
        if next_key
        else f"ALTER USER {user} UNSET RSA_PUBLIC_KEY_2",
        *(f"GRANT ROLE {granted} TO USER {user}" for granted in roles),
    ]


def public_key(file: Path, passphrase: str | None = None) -> str:
    """The public key in base64, as Snowflake expects it, from a PEM file with the public or the private key."""
    from base64 import b64encode

    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )

    try:
        pem = file.read_bytes()
        if b"PRIVATE KEY" in pem:
            key = load_pem_private_key(pem, passphrase.encode() if passphrase else None).public_key()
        else:
            key = load_pem_public_key(pem)
    except (OSError, ValueError, TypeError) as error:
        raise KeyFileError(
            f"Cannot read a key from {file}: {error}. To create a key pair: openssl genrsa 2048 | openssl pkcs8 "
            "-topk8 -out rsa_key.p8. Its passphrase goes into SNOWFLAKE_PRIVATE_KEY_PASSPHRASE."
        ) from error
    return b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
