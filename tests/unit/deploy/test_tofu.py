"""The OpenTofu modules: what they make in an account equals what `snowflake-setup` prints, in both directions."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pulumi_snowflake
import pytest

from music_platform.cli import contract
from music_platform.contracts.events import TOPICS
from music_platform.environment import project_root
from music_platform.settings import Settings
from music_platform.warehouse.account import DUTIES, Account, Grant, setup

MODULES = project_root() / "deploy" / "tofu"
FOLDERS = sorted({file.parent for file in MODULES.rglob("*.tf")})
SNOWFLAKE = MODULES / "snowflake"


def module_setup() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SNOWFLAKE / "setup.json").read_text())
    return found


def text_of(folder: Path) -> str:
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))


@pytest.fixture
def account() -> Account:
    return Account.of(
        Settings(
            _env_file=None, snowflake_account="account", snowflake_user="MUSIC_PLATFORM", lake_url="s3a://bucket/lake"
        )
    )


@pytest.fixture
def statements(account: Account) -> list[str]:
    steps = setup(account, "MIIB", "MIIC", 100, "arn:aws:iam::1:role/r", networks=("192.0.2.0/24",))
    return [statement for step in steps for statement in step.statements]


def test_the_committed_files_are_those_of_the_code() -> None:
    assert contract.ACCOUNT_MODULE.read_text() == contract.account_module()
    assert contract.TOPICS_MODULE.read_text() == contract.topics_module()
    assert json.loads(contract.TOPICS_MODULE.read_text()) == list(TOPICS.values())


def module_grants(account: Account) -> Iterator[str]:
    """The GRANT statements that the module's resources amount to, by its own rules (main.tf, users.tf, lake.tf)."""
    found, roles = module_setup(), dict(zip(DUTIES, account.roles, strict=True))
    for each in found["grants"]:
        name = {"WAREHOUSE": account.warehouse, "DATABASE": account.database}.get(each["kind"])
        name, privileges = name or account.named(each["name"]), tuple(each["privileges"])
        yield from Grant(privileges, each["kind"], name, roles[each["duty"]], each["every"]).statements()
    for duty in found["duties"]:
        yield f"GRANT ROLE {roles[duty]} TO ROLE SYSADMIN"
        yield f"GRANT ROLE {roles[duty]} TO USER {account.user}"
    yield f"GRANT ROLE {roles['reader']} TO USER {account.dashboard_user}"
    yield f"GRANT USAGE ON INTEGRATION {account.integration} TO ROLE SYSADMIN"


def test_roles_and_grants_equal_those_of_the_setup_in_both_directions(account: Account, statements: list[str]) -> None:
    printed = [statement for statement in statements if statement.startswith("GRANT ")]
    made = list(module_grants(account))
    assert sorted(made) == sorted(printed)
    roles = {f"CREATE ROLE IF NOT EXISTS {account.database}_{duty.upper()}" for duty in module_setup()["duties"]}
    assert roles == {statement for statement in statements if statement.startswith("CREATE ROLE")}


def test_tables_schemas_and_policies_equal_those_of_the_setup(account: Account, statements: list[str]) -> None:
    found, database = module_setup(), account.database
    assert sorted(found["tables"].values()) == sorted(s for s in statements if s.startswith("CREATE TABLE"))
    schemas = {f"CREATE SCHEMA IF NOT EXISTS {database}.{name}" for name in found["schemas"]}
    assert schemas == {s for s in statements if s.startswith("CREATE SCHEMA")}
    allowed = " OR ".join(f"IS_ROLE_IN_SESSION('{database}_{duty.upper()}')" for duty in found["unmasked"])
    policies = {
        f"CREATE MASKING POLICY IF NOT EXISTS {database}.{policy['schema']}.{name} AS (personal {policy['type']}) "
        f"RETURNS {policy['type']} -> CASE WHEN {allowed} THEN personal ELSE {policy['masked']} END"
        for name, policy in found["masking_policies"].items()
    }
    assert policies == {s for s in statements if s.startswith("CREATE MASKING POLICY")}


#: Each kind of statement of the setup, and the resource that makes it so.
MADE_BY = {
    r"CREATE ROLE": "snowflake_account_role",
    r"CREATE (OR REPLACE )?WAREHOUSE|ALTER WAREHOUSE": "snowflake_warehouse",
    r"(CREATE|ALTER) RESOURCE MONITOR": "snowflake_resource_monitor",
    r"CREATE DATABASE|USE DATABASE": "snowflake_database",
    r"CREATE SCHEMA": "snowflake_schema",
    r"(CREATE|ALTER) MASKING POLICY": "snowflake_masking_policy",
    r"CREATE TABLE": "snowflake_execute",
    r"CREATE STAGE IF NOT EXISTS RAW\.LAKE$": None,  # the platform makes its internal stage itself
    r"CREATE STAGE": "snowflake_stage_external_s3",
    r"(CREATE STORAGE|DESC) INTEGRATION": "snowflake_storage_integration_aws",
    r"(CREATE|ALTER) NETWORK POLICY": "snowflake_network_policy",
    r"(CREATE|ALTER) USER": "snowflake_service_user",
    r"GRANT ROLE": "snowflake_grant_account_role",
    r"GRANT ": "snowflake_grant_privileges_to_account_role",
}


def test_every_statement_has_a_resource_and_every_resource_a_statement(statements: list[str]) -> None:
    used = set()
    for statement in statements:
        kind = next((resource for pattern, resource in MADE_BY.items() if re.match(pattern, statement)), "none")
        assert kind != "none", statement
        used.add(kind)
    declared = set(re.findall(r'^resource "(\w+)"', text_of(SNOWFLAKE), re.MULTILINE))
    # Ownership is the loading role's because it runs the setup's CREATE TABLE; Google's stage stands for Amazon's.
    same = {"snowflake_grant_ownership", "snowflake_storage_integration_gcs", "snowflake_stage_external_gcs"}
    assert declared - same == used - {None}


def test_the_module_uses_everything_that_the_code_gives_it() -> None:
    text = text_of(SNOWFLAKE)
    for name in module_setup():
        assert f"local.setup.{name}" in text, name


def test_nothing_is_open_to_anybody_and_nothing_is_deleted_by_force() -> None:
    for folder in FOLDERS:
        text = "\n".join(line for line in text_of(folder).splitlines() if not line.strip().startswith("#"))
        assert "0.0.0.0/0" not in text
        assert not re.search(r"force_destroy\s*=\s*true|PUBLIC|allUsers", text)
    assert re.search(r'^  backend "s3" {', text_of(MODULES / "examples" / "complete"), re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_variable_and_output_is_described_and_every_variable_is_used(folder: Path) -> None:
    text = text_of(folder)
    for kind, name, body in re.findall(r'^(variable|output) "(\w+)" {\n(.*?)^}', text, re.MULTILINE | re.DOTALL):
        assert "description" in body, f"{kind} {name}"
        if kind == "variable":
            assert len(re.findall(rf"var\.{name}\b", text)) >= 1, name


def arguments_of(resource: str) -> set[str]:
    """The arguments of a resource of the Snowflake provider, from its typed bindings."""
    name = "".join(part.title() for part in resource.removeprefix("snowflake_").split("_"))
    arguments = getattr(pulumi_snowflake, f"{name}Args")
    return {key for key in vars(arguments) if isinstance(vars(arguments)[key], property)}


def test_every_attribute_is_one_of_the_provider() -> None:
    meta = {"provider", "for_each", "count", "lifecycle", "depends_on", "dynamic"}
    seen = 0
    for file in SNOWFLAKE.glob("*.tf"):
        for block in hcl2.loads(file.read_text()).get("resource", []):
            for kind, named in block.items():
                for body in named.values():
                    used = {key.strip('"') for key in body if not key.startswith("__")} - meta
                    known = arguments_of(kind.strip('"'))
                    assert {_squashed(key) for key in used} <= {_squashed(key) for key in known}, kind
                    seen += 1
    assert seen >= 20


def _squashed(name: str) -> str:
    """A name as both sides have it: the bindings drop underscores before digits, and repeated blocks are plurals."""
    return name.replace("_", "").rstrip("s")


def tofu() -> str:
    """OpenTofu, or the program that it has the language of these modules from."""
    found = shutil.which("tofu") or shutil.which("terraform")
    if found is None:
        pytest.skip("neither tofu nor terraform is installed: form and validity of the modules are not checked")
    return found


def test_the_files_have_tofu_s_form() -> None:
    done = subprocess.run(
        [tofu(), "fmt", "-check", "-recursive", "-diff", str(MODULES)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_modules_are_valid_and_their_tests_pass(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "tofu"
    shutil.copytree(MODULES, copied)
    here = copied / folder.relative_to(MODULES)
    begun = subprocess.run([tofu(), "init", "-backend=false", "-input=false"], cwd=here, capture_output=True, text=True)
    if begun.returncode != 0 and re.search(r"registry|could not connect|no such host|403", begun.stderr, re.IGNORECASE):
        pytest.skip("the providers' registry cannot be reached: the modules are not validated")
    assert begun.returncode == 0, begun.stderr
    for arguments in (["validate"], ["test"]) if (here / "tests").is_dir() else (["validate"],):
        done = subprocess.run([tofu(), *arguments], cwd=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
