"""The set-up SQL of a Snowflake account: what it grants, what it hides, what it never does."""

import re
from pathlib import Path

import pytest
import sqlglot
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlfluff.core import Linter
from typer.testing import CliRunner

from music_platform.cli import app
from music_platform.contracts import events, reference
from music_platform.environment import project_root
from music_platform.settings import Settings, get_settings
from music_platform.warehouse.account import Account, KeyFileError, Step, grants, public_key, script, setup
from music_platform.warehouse.schema import MASKING_POLICIES, tables

PERSONAL = {
    column.column: column.sql_type
    for columns in (events.raw_columns(), *(table.columns for table in reference.TABLES))
    for column in columns
    if column.personal
}


def steps_for(**given: object) -> list[Step]:
    """The set-up under settings."""
    settings = Settings(_env_file=None, **given)  # type: ignore[arg-type, call-arg]
    return setup(Account.of(settings), "KEY", "OTHER_KEY", 100, "arn:aws:iam::1:role/lake")


@pytest.fixture(params=["local lake", "s3", "gcs"])
def steps(request: pytest.FixtureRequest) -> list[Step]:
    """The set-up of each kind of account."""
    lake = {"s3": {"lake_url": "s3a://bucket/lake"}, "gcs": {"lake_url": "gs://bucket/lake"}}.get(request.param, {})
    return steps_for(snowflake_account="org-account", **lake)


def statements_of(steps: list[Step]) -> list[str]:
    return [statement for step in steps for statement in step.statements]


def test_snowflakes_grammar_takes_it(steps: list[Step]) -> None:
    """sqlfluff's dialect knows policies, integrations and users, which sqlglot keeps as text."""
    # A column may be called so (Snowflake's list of limited keywords); sqlfluff is stricter.
    text = script(steps).replace(" connection VARCHAR", ' "CONNECTION" VARCHAR')
    parsed = Linter(dialect="snowflake").parse_string(text)
    assert [str(violation) for violation in parsed.violations] == []
    for statement in statements_of(steps):
        assert len(sqlglot.parse(statement, read="snowflake")) == 1


def test_it_can_be_run_again_and_replaces_nothing(steps: list[Step]) -> None:
    for statement in statements_of(steps):
        assert "OR REPLACE" not in statement
        assert not re.match(r"CREATE (?!.*IF NOT EXISTS)", statement), statement
        assert not statement.startswith(("DROP", "REVOKE", "DELETE", "TRUNCATE"))


def test_no_passwords_and_no_administrators_role_for_the_platform(steps: list[Step]) -> None:
    text = script(steps)
    assert "PASSWORD" not in text
    assert text.count("TYPE = SERVICE") == 2
    to_roles = re.findall(r"GRANT .* TO (?:ROLE|USER) (\w+)", text)
    assert not {"ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN", "PUBLIC"} & set(to_roles)
    assert not re.findall(r"GRANT ROLE \w*ADMIN", text)
    assert not re.findall(r"\b(ALL PRIVILEGES|GRANT ALL|OWNERSHIP|MANAGE GRANTS|WITH GRANT OPTION)\b", text)


def test_accountadmin_does_only_what_nobody_else_can(steps: list[Step]) -> None:
    for statement in (s for step in steps if step.role == "ACCOUNTADMIN" for s in step.statements):
        assert "RESOURCE MONITOR" in statement or "RESOURCE_MONITOR" in statement or "INTEGRATION" in statement


def test_the_reading_role_can_only_read_and_not_where_nothing_is_masked() -> None:
    account = Account.of(Settings(_env_file=None))  # type: ignore[call-arg]
    given = [grant for grant in grants(account) if grant.role == account.reader]
    assert {privilege for grant in given for privilege in grant.privileges} == {"USAGE", "SELECT"}
    assert not [grant for grant in given if ".RAW" in grant.name or ".STAGING" in grant.name]
    # Tables are opened one by one, by the build that has masked them.
    assert {grant.kind for grant in given if "SELECT" in grant.privileges} == {"VIEW"}


def test_the_transforming_role_writes_three_ledgers_and_nothing_of_raw() -> None:
    account = Account.of(Settings(_env_file=None))  # type: ignore[call-arg]
    given = [grant for grant in grants(account) if grant.role == account.transformer]
    written = {g.name.split(".")[-1] for g in given if {"INSERT", "DELETE", "UPDATE"} & set(g.privileges)}
    assert written == {"BUILDS", "TOUCHED_DATES", "DISPLACED_EVENTS"}
    assert {g.privileges for g in given if g.name.endswith(".RAW")} == {("USAGE",), ("SELECT",)}


def test_every_personal_column_of_the_contract_is_masked() -> None:
    text = script(steps_for())
    assert set(PERSONAL) >= {"first_name", "last_name", "zip", "city", "lat", "lon", "payload", "payload_base64"}
    for name, (_, columns) in tables().items():
        (create,) = re.findall(rf"CREATE TABLE IF NOT EXISTS {re.escape(name)} \((.*)\) COMMENT", text)
        for column in columns:
            definition = re.search(rf"(?:^|, ){column.column} \S+(.*?) COMMENT", create)
            assert definition is not None
            policy = f" WITH MASKING POLICY {MASKING_POLICIES[column.sql_type]}" if column.personal else ""
            assert definition[1] == policy, (name, column.column)


def test_dbt_masks_the_same_columns() -> None:
    project = yaml.safe_load((project_root() / "dbt_project" / "dbt_project.yml").read_text())
    policies = {name: MASKING_POLICIES[sql_type].split(".")[1] for name, sql_type in PERSONAL.items()}
    assert project["vars"]["personal_columns"] == policies


def test_settings_name_the_objects() -> None:
    account = Account.of(
        Settings(
            _env_file=None,  # type: ignore[call-arg]
            snowflake_database="RADIO",
            snowflake_role="ETL",
            snowflake_warehouse="BIG",
        )
    )
    assert (account.roles, account.warehouse) == (("ETL", "RADIO_TRANSFORMER", "RADIO_READER"), "BIG")


@pytest.mark.parametrize(
    ("url", "shown"), [("s3a://bucket/lake/", "s3://bucket/lake/"), ("gs://bucket/lake", "gcs://bucket/lake/")]
)
def test_a_lake_in_an_object_store_is_read_in_place(url: str, shown: str) -> None:
    text = script(steps_for(snowflake_account="org-account", lake_url=url))
    assert f"CREATE STAGE IF NOT EXISTS MUSIC.RAW.LAKE_FILES URL = '{shown}' STORAGE_INTEGRATION = MUSIC_LAKE" in text
    assert "GRANT USAGE ON STAGE MUSIC.RAW.LAKE_FILES TO ROLE MUSIC_LOADER" in text
    assert ("STORAGE_AWS_ROLE_ARN" in text) == url.startswith("s3a")


def test_users_reckon_in_utc_with_weeks_from_monday() -> None:
    text = script(steps_for())
    assert text.count("SET TIMEZONE = 'UTC';") == text.count("SET WEEK_START = 1;") == 2
    assert text.count("SET DEFAULT_SECONDARY_ROLES = ();") == 2


def _pair(folder: Path, passphrase: bytes | None) -> tuple[Path, Path]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    private, public = folder / "rsa_key.p8", folder / "rsa_key.pub"
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_the_verb_prints_the_script_with_the_public_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = _pair(tmp_path, b"secret")
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path))
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(private))
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "secret")
    get_settings.cache_clear()
    try:
        shown = CliRunner().invoke(app, ["snowflake-setup"])
    finally:
        get_settings.cache_clear()
    assert shown.exit_code == 0, shown.output
    key = "".join(public.read_text().splitlines()[1:-1])
    assert f"ALTER USER music SET RSA_PUBLIC_KEY = '{key}';" in shown.stdout
    assert "secret" not in shown.stdout


def test_a_key_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    private, public = _pair(tmp_path, b"secret")
    assert public_key(private, "secret") == public_key(public)
    for file, passphrase in ((private, "wrong"), (private, None), (tmp_path / "absent", None)):
        with pytest.raises(KeyFileError, match="To create a key pair: openssl"):
            public_key(file, passphrase)
