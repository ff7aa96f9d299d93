"""Tables, views and their entries in the catalogue."""

import pytest
from snowflake.connector.errors import Error, ProgrammingError

from conformance.conftest import Connect, Query


def names(rows: list, column: int = 1) -> list[str]:
    """One column of SHOW."""
    return sorted(row[column] for row in rows)


def test_ddl_commits_the_open_transaction(query: Query) -> None:
    query("create table T (ID number)")
    query("begin")
    query("insert into T values (1)")
    query("create table OTHER (ID number)")
    query("rollback")
    assert query("select count(*) from T") == [(1,)]


def test_keys_are_declared_and_not_enforced(query: Query) -> None:
    query("create table PARENT (ID number not null primary key, constraint U unique (ID))")
    query("create table CHILD (ID number, PARENT_ID number references PARENT (ID), primary key (ID))")
    query("alter table CHILD add constraint C foreign key (PARENT_ID) references PARENT (ID)")
    query("insert into CHILD values (1, 99), (1, 99)")
    query("create or replace table PARENT (ID number primary key)")
    assert query("select count(*) from CHILD") == [(2,)]


def test_create_as_keeps_not_null(query: Query) -> None:
    query("create or replace table T (ID number(38,0) not null, NAME varchar) as (select 1, 'x')")
    with pytest.raises(Error, match="NULL result in a non-nullable column") as refused:
        query("insert into T (NAME) values ('y')")
    assert refused.value.errno == 100072
    with pytest.raises(Error, match="NULL result in a non-nullable column"):
        query("create or replace table T (ID number(38,0) not null, NAME varchar) as (select null, 'x')")
    assert query("select * from T") == [(1, "x")], "the failed CREATE OR REPLACE must keep the old table"


def test_like_and_clone(query: Query) -> None:
    query("create table T (ID number not null, NAME varchar default 'none', AMOUNT number(10,2))")
    query("insert into T (ID) values (1), (2)")
    query("create table L like T")
    query("create or replace table C clone T")
    query("create or replace table C clone C")
    assert query("select count(*) from L") == [(0,)]
    assert query("select ID, NAME from C order by ID") == [(1, "none"), (2, "none")]
    assert [row[:4] for row in query("describe table L")] == [row[:4] for row in query("describe table T")]
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        query("create table X like ABSENT")


def test_swap_exchanges_two_tables(query: Query) -> None:
    query("create table ONE as select 1 as ID")
    query("create table TWO as select 2 as ID, 'x' as NAME")
    query("create view V as select ID from ONE")
    query("alter table ONE swap with TWO")
    assert query("select * from ONE") == [(2, "x")]
    assert query("select * from TWO") == [(1,)]
    assert query("select * from V") == [(2,)]


def test_columns_are_added_renamed_and_dropped(query: Query) -> None:
    query("create table T (ID number)")
    query("alter table T add column if not exists NAME varchar")
    query("alter table T add column if not exists NAME varchar")
    query("alter table T add column A number, B number")
    query("alter table T rename column A to C")
    query("alter table T drop column B")
    assert names(query("describe table T"), 0) == ["C", "ID", "NAME"]


def test_temporary_tables(query: Query, connect: Connect, database: str) -> None:
    query("create temporary table MINE as select 1 as ID")
    query(f"create or replace temporary table {database}.RAW.QUALIFIED as select 2 as ID")
    assert query("select MINE.ID + QUALIFIED.ID from MINE, QUALIFIED") == [(3,)]
    other = connect()
    with pytest.raises(ProgrammingError):
        other.cursor().execute("select * from MINE")
    other.cursor().execute(f"create or replace temporary table {database}.RAW.LEFT_BEHIND as select 1 as ID")
    other.close()
    with pytest.raises(ProgrammingError):
        query("select * from LEFT_BEHIND")


def test_comments_of_tables_views_and_columns(query: Query) -> None:
    query("create table T (ID number comment 'it''s the id', NAME varchar) comment = 'a \"table\"'")
    query("create view V (ID comment 'of the view', NAME) comment = 'a view' as select * from T")
    query("alter table T alter \"NAME\" comment $$100 % 'sure'$$, ID comment 'changed; and, so'")
    comments = dict(query("select TABLE_NAME, COMMENT from INFORMATION_SCHEMA.TABLES where TABLE_SCHEMA = 'RAW'"))
    assert comments == {"T": 'a "table"', "V": "a view"}
    columns = "select COLUMN_NAME, COMMENT from INFORMATION_SCHEMA.COLUMNS where TABLE_NAME = '{}' order by 1"
    assert query(columns.format("T")) == [("ID", "changed; and, so"), ("NAME", "100 % 'sure'")]
    assert query(columns.format("V")) == [("ID", "of the view"), ("NAME", None)]
    query("comment on table T is $$what's new$$")
    query("comment on column T.ID is ''")
    query("comment on table V is 'new text'")
    assert [row[9] for row in query("describe table T")] == [None, "100 % 'sure'"]
    assert names(query("show views"), 6) == ["new text"]
    query("create or replace table T (ID number)")
    assert query("select COMMENT from INFORMATION_SCHEMA.TABLES where TABLE_NAME = 'T'") == [(None,)]


def test_show_and_information_schema(query: Query, database: str) -> None:
    query(
        "create table T (ID number(38,0) not null, NAME varchar(20), AMOUNT number(10,2), AT timestamp_ntz, V variant)"
    )
    query("insert into T (ID) values (1), (2)")
    query("create view V as select ID from T")
    assert names(query("show tables")) == ["T"]
    assert names(query("show tables like 't%' in schema RAW")) == ["T"]
    assert names(query(f"show views in schema {database}.RAW")) == ["V"]
    assert names(query("show columns in table T"), 2) == ["AMOUNT", "AT", "ID", "NAME", "V"]
    objects = query(f"show objects in {database}.RAW limit 10000")
    assert sorted((row[1], row[4]) for row in objects) == [("T", "TABLE"), ("V", "VIEW")]
    assert {"RAW", "PUBLIC"} <= set(names(query(f"show terse schemas in database {database}")))
    assert query("show grants on table T") is not None
    assert [row[:4] for row in query("describe table T")] == [
        ("ID", "NUMBER(38,0)", "COLUMN", "N"), ("NAME", "VARCHAR(20)", "COLUMN", "Y"),
        ("AMOUNT", "NUMBER(10,2)", "COLUMN", "Y"), ("AT", "TIMESTAMP_NTZ(9)", "COLUMN", "Y"),
        ("V", "VARIANT", "COLUMN", "Y"),
    ]  # fmt: skip
    tables = (
        "select TABLE_NAME, TABLE_TYPE, ROW_COUNT from INFORMATION_SCHEMA.TABLES where TABLE_SCHEMA = 'RAW' order by 1"
    )
    assert query(tables) == [("T", "BASE TABLE", 2), ("V", "VIEW", None)]
    types = "select COLUMN_NAME, DATA_TYPE, IS_NULLABLE from INFORMATION_SCHEMA.COLUMNS where TABLE_NAME = 'T'"
    assert query(f"{types} order by ORDINAL_POSITION") == [
        ("ID", "NUMBER", "NO"), ("NAME", "TEXT", "YES"), ("AMOUNT", "NUMBER", "YES"), ("AT", "TIMESTAMP_NTZ", "YES"),
        ("V", "VARIANT", "YES"),
    ]  # fmt: skip


def test_describe_reaches_another_database(query: Query, connect: Connect, database: str) -> None:
    query("create table T (ID number)")
    elsewhere = connect(database=f"{database}_B", schema=None).cursor()
    assert elsewhere.execute(f"describe table {database}.RAW.T").fetchall()[0][0] == "ID"
    elsewhere.execute(f"drop database {database}_B")


def test_a_new_database_has_the_schema_public_and_is_current(query: Query, database: str) -> None:
    query(f"create database {database}_C")
    assert query("select current_database(), current_schema()") == [(f"{database}_C", "PUBLIC")]
    query("create table T (ID number)")
    with pytest.raises(ProgrammingError, match="already exists"):
        query(f"create database {database}_C")
    query(f"use schema {database}.RAW")
    query(f"drop database {database}_C")
