"""The setup SQL of a Snowflake account: what it grants, what it masks, what it never does."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from music_platform.warehouse.account import (
    Account,
    KeyFileError,
    NameNeedsQuotesError,
    NetworkError,
    Step,
    grants,
    public_key,
    script,
    setup,
)
from music_platform.warehouse.schema import MASKING_POLICIES, tables

PERSONAL = {
    column.column: column.sql_type
    for columns in (events.raw_columns(), *(table.columns for table in reference.TABLES))
    for column in columns
    if column.personal
}


#: What may be given to the set-up beside what it needs.
OPTIONS: dict[str, Any] = {
    "next_user_key": "NEXT_KEY",
    "next_dashboard_key": "NEXT_OTHER_KEY",
    "networks": ("192.0.2.0/24", "198.51.100.7"),
}


def steps_for(options: Mapping[str, Any] | None = None, monthly_credits: int = 100, **given: object) -> list[Step]:
    """The set-up under settings."""
    settings = Settings(_env_file=None, **given)  # type: ignore[arg-type, call-arg]
    account = Account.of(settings)
    return setup(account, "KEY", "OTHER_KEY", monthly_credits, "arn:aws:iam::1:role/lake", **(options or {}))


@pytest.fixture(params=["local lake", "s3", "gcs", "all options"])
def steps(request: pytest.FixtureRequest) -> list[Step]:
    """The set-up of each kind of account."""
    lake = {"s3": {"lake_url": "s3a://bucket/lake"}, "gcs": {"lake_url": "gs://bucket/lake"}}.get(request.param, {})
    return steps_for(OPTIONS if request.param == "all options" else None, snowflake_account="org-account", **lake)


def statements_of(steps: list[Step]) -> list[str]:
    return [statement for step in steps for statement in step.statements]


def test_snowflakes_grammar_accepts_it(steps: list[Step]) -> None:
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


def test_a_second_run_brings_policies_quota_and_keys_to_what_it_was_given() -> None:
    text = script(steps_for(monthly_credits=7, snowflake_transform_role="DBT"))
    for policy in MASKING_POLICIES.values():
        (made,) = re.findall(rf"CREATE MASKING POLICY IF NOT EXISTS MUSIC\.{policy} .*? -> (.*);", text)
        assert "IS_ROLE_IN_SESSION('DBT')" in made
        assert text.index(f"ALTER MASKING POLICY MUSIC.{policy} SET BODY -> {made};") > text.index(made)
    assert "ALTER RESOURCE MONITOR MUSIC_WH SET CREDIT_QUOTA = 7;" in text
    assert "ALTER USER music SET RSA_PUBLIC_KEY = 'KEY';" in text


def test_a_variant_is_hidden_as_text_and_numbers_are() -> None:
    (policy,) = [s for s in statements_of(steps_for()) if s.startswith("CREATE MASKING") and "VARIANT" in s]
    assert policy.endswith(
        "AS (personal VARIANT) RETURNS VARIANT -> CASE WHEN IS_ROLE_IN_SESSION('MUSIC_LOADER') OR "
        "IS_ROLE_IN_SESSION('MUSIC_TRANSFORMER') THEN personal ELSE NULL END"
    )


def test_the_script_says_who_else_sees_through_the_masks() -> None:
    said = {step.why: step.statements for step in steps_for()}
    (roles,) = [why for why, statements in said.items() if any("CREATE ROLE" in s for s in statements)]
    (policies,) = [why for why, statements in said.items() if any("CREATE MASKING POLICY" in s for s in statements)]
    for why in (roles, policies):
        assert "SYSADMIN" in why
        assert "ACCOUNTADMIN" in why


def test_keys_are_rotated_by_a_second_one_that_is_valid_beside_the_first() -> None:
    during, after = script(steps_for(OPTIONS)), script(steps_for())
    assert "ALTER USER music SET RSA_PUBLIC_KEY = 'KEY';" in during
    assert "ALTER USER music SET RSA_PUBLIC_KEY_2 = 'NEXT_KEY';" in during
    assert "ALTER USER music_DASHBOARD SET RSA_PUBLIC_KEY_2 = 'NEXT_OTHER_KEY';" in during
    assert "UNSET" not in during
    assert "ALTER USER music UNSET RSA_PUBLIC_KEY_2;" in after
    assert "ALTER USER music_DASHBOARD UNSET RSA_PUBLIC_KEY_2;" in after


def test_the_service_users_log_in_from_given_networks_only() -> None:
    text = script(steps_for(OPTIONS))
    listed = "ALLOWED_IP_LIST = ('192.0.2.0/24', '198.51.100.7')"
    assert f"CREATE NETWORK POLICY IF NOT EXISTS MUSIC_SERVICES {listed};" in text
    assert f"ALTER NETWORK POLICY MUSIC_SERVICES SET {listed};" in text
    for user in ("music", "music_DASHBOARD"):
        assert f"ALTER USER {user} SET NETWORK_POLICY = MUSIC_SERVICES;" in text
    assert "NETWORK" not in script(steps_for())
    for wrong in ("10.0.0.1/8", "example.org", "::1", "1.2.3.4'); DROP DATABASE MUSIC; --"):
        with pytest.raises(NetworkError, match="no range of IPv4 addresses"):
            steps_for({"networks": (wrong,)})


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("snowflake_user", "ada@example.org"),
        ("snowflake_user", "USER'S"),
        ("snowflake_database", "my-music"),
        ("snowflake_database", "ORDER"),
        ("snowflake_warehouse", "1ST"),
        ("snowflake_role", 'A"B'),
        ("snowflake_transform_role", "A; DROP DATABASE MUSIC"),
        ("snowflake_read_role", "a b"),
    ],
)
def test_a_name_that_needs_quotes_is_refused_in_a_sentence(setting: str, name: str) -> None:
    with pytest.raises(NameNeedsQuotesError, match=f"{setting.upper()} is .*takes in quotes only.*Set another name"):
        steps_for(**{setting: name})


def test_whoever_only_reads_reads_as_the_role_that_the_set_up_makes() -> None:
    for given in ({}, {"snowflake_database": "RADIO"}, {"snowflake_read_role": "ANALYST"}):
        settings = Settings(_env_file=None, **given)  # type: ignore[arg-type]
        assert settings.snowflake_read_role == Account.of(settings).reader
    assert Settings(_env_file=None, snowflake_database="RADIO").snowflake_read_role == "RADIO_READER"  # type: ignore[call-arg]


def test_the_reading_role_can_only_read_and_not_where_nothing_is_masked() -> None:
    account = Account.of(Settings(_env_file=None))  # type: ignore[call-arg]
    given = [grant for grant in grants(account) if grant.role == account.reader]
    assert {privilege for grant in given for privilege in grant.privileges} == {"USAGE", "SELECT"}
    assert not [grant for grant in given if ".RAW" in grant.name or ".STAGING" in grant.name]
    # Tables are opened one by one, by the build that has masked them.
    assert {grant.kind for grant in given if "SELECT" in grant.privileges} == {"VIEW"}


def test_the_transforming_role_writes_its_ledgers_and_nothing_of_raw() -> None:
    account = Account.of(Settings(_env_file=None))  # type: ignore[call-arg]
    given = [grant for grant in grants(account) if grant.role == account.transformer]
    written = {g.name.split(".")[-1] for g in given if {"INSERT", "DELETE", "UPDATE"} & set(g.privileges)}
    assert written == {
        "BUILDS", "TOUCHED_DATES", "DISPLACED_EVENTS", "CHECKED_BATCHES", "CHECK_RESULTS", "MODEL_VERSIONS",
    }  # fmt: skip
    updated = [grant.name for grant in given if "UPDATE" in grant.privileges]
    assert updated == ["MUSIC.OPS.BUILDS", "MUSIC.OPS.MODEL_VERSIONS"]
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


def test_sessions_use_utc_and_weeks_that_start_on_monday() -> None:
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


def test_a_key_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    private, public = _pair(tmp_path, b"secret")
    assert public_key(private, "secret") == public_key(public)
    for file, passphrase in ((private, "wrong"), (private, None), (tmp_path / "absent", None)):
        with pytest.raises(KeyFileError, match="To create a key pair: openssl"):
            public_key(file, passphrase)
