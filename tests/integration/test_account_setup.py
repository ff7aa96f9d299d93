"""The set-up SQL of an account, run on a local warehouse."""

import uuid
from pathlib import Path

import snowflake.connector

from music_platform.settings import Settings
from music_platform.stack.services import WAREHOUSE
from music_platform.warehouse.account import Account, setup
from music_platform.warehouse.connection import connection_arguments
from music_platform.warehouse.schema import SCHEMAS, provision
from tests.integration.conftest import latest_statements
from tests.support.stack import running_stack


def test_the_set_up_runs_from_an_empty_account_and_again(tmp_path: Path) -> None:
    """Roles, policies and users have no effect here. What is shown is that the statements suit each other."""
    database = f"SETUP_{uuid.uuid4().hex[:12].upper()}"
    account = Account.of(Settings(_env_file=None, snowflake_database=database))  # type: ignore[call-arg]
    with running_stack(tmp_path / "home", frozenset({WAREHOUSE})) as stack:
        arguments = connection_arguments(stack.settings)
        del arguments["database"]
        with snowflake.connector.connect(**arguments) as connection:
            cursor = connection.cursor()
            for _ in range(2):
                steps = setup(account, "KEY", "KEY", 10, None, next_user_key="NEXT", networks=["192.0.2.0/24"])
                for step in steps:
                    cursor.execute(f"use role {step.role}")
                    for statement in step.statements:
                        cursor.execute(statement)
            made = cursor.execute(f"select schema_name from {database}.information_schema.schemata").fetchall()
            assert {name for (name,) in made} >= set(SCHEMAS)
            # What `up` does there then, as the loading role: tables and views of its own, nothing that needs more.
            cursor.execute(f"use database {database}")
            before = len(latest_statements(stack.settings))
            provision(connection, Settings(_env_file=None, snowflake_account="org-account"))  # type: ignore[call-arg]
            sent = [said["text"] for said in latest_statements(stack.settings)[before:]]
            assert {" ".join(text.split()[:2]) for text in sent if text.startswith("CREATE")} == {
                "CREATE STAGE", "CREATE OR"
            }  # fmt: skip
            # A column that has become personal since gets its policy.
            assert "ALTER TABLE RAW.EVENTS MODIFY COLUMN extra SET MASKING POLICY OPS.PERSONAL_VARIANT FORCE" in sent
            replaced = [text.split(" AS ")[0] for text in sent if "OR REPLACE" in text]
            views = ("QUARANTINE", "FRESHNESS", "CHECKS", "LEARNED")
            assert replaced == [f"CREATE OR REPLACE VIEW OPS.{view}" for view in views]
