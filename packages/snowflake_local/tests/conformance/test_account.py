"""Masking policies: accepted, without effect."""

from snowflake.connector.cursor import SnowflakeCursor

from conformance.conftest import Query


def test_columns_have_masking_policies_from_their_first_moment(query: Query, cursor: SnowflakeCursor) -> None:
    """In CREATE TABLE, ADD COLUMN and ALTER COLUMN. (On an account they need Enterprise Edition.)"""
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
