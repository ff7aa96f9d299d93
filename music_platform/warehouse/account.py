"""What the platform needs in a Snowflake account: roles, grants, users, a warehouse, masking policies, a stage.

`music-platform snowflake-setup` prints it as SQL for an administrator to read and run once. The platform itself runs
none of it, and none of its roles could. Every statement can be run again. `doctor` compares the account with the same
list of grants.

Three roles: one loads RAW and writes OPS, one builds the models, one reads. The reading role has no grant on RAW and
STAGING. The build that creates a model's table grants it to the reading role after masking the personal columns
(dbt_project/macros/readers.sql), so that they can never be read unmasked.
"""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from music_platform.contracts.events import SNOWFLAKE_TYPES, ColumnType
from music_platform.errors import PlatformError
from music_platform.lake.paths import stage_url
from music_platform.settings import Settings
from music_platform.warehouse.connection import SESSION_PARAMETERS
from music_platform.warehouse.schema import (
    BUILDS,
    DISPLACED_EVENTS,
    LAKE_FILES_STAGE,
    LAKE_STAGE,
    MASKING_POLICIES,
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
_MASKED = {ColumnType.STRING: "'***'", ColumnType.DOUBLE: "NULL"}


class KeyFileError(PlatformError):
    """A key file cannot be read."""


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
            settings.snowflake_read_role or f"{database}_READER",
            settings.snowflake_user,
            f"{settings.snowflake_user}_DASHBOARD",
            stage_url(settings.lake_root) if settings.loads_in_place else None,
        )

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
        *(
            Grant(("INSERT", "DELETE"), "TABLE", account.named(ledger), build)
            for ledger in (BUILDS, TOUCHED_DATES, DISPLACED_EVENTS)
        ),
        *(Grant(*schema(name, "CREATE TABLE", "CREATE VIEW"), build) for name in SCHEMAS if name not in ("RAW", "OPS")),
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
    account: Account, user_key: str, dashboard_key: str | None, monthly_credits: int, aws_role: str | None
) -> list[Step]:
    """The setup, in order. Keys are public keys in base64; `aws_role` is the ARN of the role that may read the bucket.

    ACCOUNTADMIN is used only where Snowflake requires it: for the resource monitor and the storage integration.
    """
    loader, _, reader = account.roles
    statements = _user(account, account.user, user_key, loader, account.roles)
    if dashboard_key:
        statements += _user(account, account.dashboard_user, dashboard_key, reader, (reader,))
    why = (
        "Service users with a key pair, no password and only their own roles. To change a key, run it with the new one."
    )
    return [
        *_roles(account),
        *_warehouse(account, monthly_credits),
        _policies(account),
        *(_external_stage(account, account.lake, aws_role) if account.lake is not None else ()),
        *_tables_and_grants(account),
        Step(why, "SECURITYADMIN", tuple(statements)),
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
        "they own."
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
        "build. They need Snowflake's Enterprise Edition.",
        "SYSADMIN",
        tuple(_policy(account, column_type) for column_type in MASKING_POLICIES),
    )


def _policy(account: Account, column_type: ColumnType) -> str:
    sql_type = SNOWFLAKE_TYPES[column_type]
    allowed = " OR ".join(f"IS_ROLE_IN_SESSION('{role.upper()}')" for role in (account.loader, account.transformer))
    return (
        f"CREATE MASKING POLICY IF NOT EXISTS {account.named(MASKING_POLICIES[column_type])} "
        f"AS (personal {sql_type}) RETURNS {sql_type} -> "
        f"CASE WHEN {allowed} THEN personal ELSE {_MASKED[column_type]} END"
    )


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


def _user(account: Account, user: str, key: str, role: str, roles: Iterable[str]) -> list[str]:
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
