"""The set-up SQL of an account, and what the platform does with masking policies."""

import pytest
from snowflake.connector.cursor import SnowflakeCursor

from music_platform.settings import Settings
from music_platform.warehouse.account import Account, setup
from music_platform.warehouse.schema import SCHEMAS, provision
from tests.conformance.conftest import Query
from tests.conformance.launcher import LocalWarehouse


@pytest.mark.local_only
def test_the_set_up_runs_from_an_empty_account_and_again(server: LocalWarehouse, database: str) -> None:
    """Here roles, policies and users have no effect; that the statements suit each other is shown all the same."""
    account = Account.of(Settings(_env_file=None, snowflake_database=database))  # type: ignore[call-arg]
    with server.connect() as connection:
        cursor = connection.cursor()
        for _ in range(2):
            options = {"next_user_key": "NEXT", "networks": ["192.0.2.0/24"]}
            for step in setup(account, "KEY", "KEY", 10, None, **options):  # type: ignore[arg-type]
                cursor.execute(f"use role {step.role}")
                for statement in step.statements:
                    cursor.execute(statement)
        made = cursor.execute(f"select schema_name from {database}.information_schema.schemata").fetchall()
        assert {name for (name,) in made} >= set(SCHEMAS)
        # What `up` does there then, as the loading role: tables and a view of its own, nothing that needs more.
        cursor.execute(f"use database {database}")
        before = len(server.statements())
        provision(connection, Settings(_env_file=None, snowflake_account="org-account"))  # type: ignore[call-arg]
        sent = [said["text"] for said in server.statements()[before:]]
        assert {" ".join(text.split()[:2]) for text in sent if text.startswith("CREATE")} == {
            "CREATE STAGE", "CREATE OR"
        }  # fmt: skip
        # A column that has become personal since gets its policy.
        assert "ALTER TABLE RAW.EVENTS MODIFY COLUMN extra SET MASKING POLICY OPS.PERSONAL_VARIANT FORCE" in sent
        assert [text[:40] for text in sent if "OR REPLACE" in text] == ["CREATE OR REPLACE VIEW OPS.QUARANTINE AS"]
        cursor.execute(f"drop database {database}")


def test_columns_have_masking_policies_from_their_first_moment(query: Query, cursor: SnowflakeCursor) -> None:
    """In CREATE TABLE, ADD COLUMN and afterwards. (An account needs Enterprise Edition for them.)"""
    query("create masking policy HIDDEN as (V varchar) returns varchar -> case when true then V else '*' end")
    query("create table PEOPLE (ID number, NAME varchar with masking policy HIDDEN comment 'its name')")
    query("alter table PEOPLE add column CITY varchar with masking policy RAW.HIDDEN comment 'its city'")
    query("create table COPIED as select * from PEOPLE")
    query("alter table COPIED modify column NAME set masking policy HIDDEN")
    query("insert into COPIED values (1, 'set masking policy', 'x')")
    assert query("select NAME from COPIED") == [("set masking policy",)]
    query("alter table COPIED modify column NAME unset masking policy")
    described = cursor.execute("describe table PEOPLE").fetchall()
    assert [(row[0], row[9]) for row in described[:2]] == [("ID", None), ("NAME", "its name")]
    assert described[2][:2] == ("CITY", "VARCHAR(16777216)")
