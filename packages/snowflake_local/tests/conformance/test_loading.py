"""PUT, LIST, REMOVE and COPY, as a loader uses them."""

import datetime as dt
import hashlib
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from snowflake.connector.errors import ProgrammingError

from conformance.conftest import Connect, Query
from conformance.launcher import LOOPBACK, LocalWarehouse

NOON = dt.datetime(2024, 5, 1, 12, 0, 0, 123456)
TARGET = (
    "create or replace table EVENTS (ID number(38,0), NAME varchar, SECONDS float, AT timestamp_ntz(6), "
    "EXTRA variant, BATCH_ID number(38,0), LOADED_AT timestamp_ntz(6))"
)
TRANSFORMATION = (
    "copy into RAW.EVENTS (ID, NAME, SECONDS, AT, EXTRA, BATCH_ID, LOADED_AT) from (select $1:id::number(38,0), "
    "$1:name::varchar, $1:seconds::float, $1:at::timestamp_ntz(6), parse_json($1:extra), 7, sysdate() "
    "from @RAW.LAKE/events/) files = ({files}) file_format = (type = parquet use_logical_type = true) "
    "force = false purge = false on_error = abort_statement"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three rows, one with a time of 1969 and one with NULLs."""
    table = pa.table(
        {
            "id": [1, 2, 3],
            "name": ["one", None, "it's three"],
            "seconds": [1.5, None, 3.0],
            "at": pa.array([NOON, None, dt.datetime(1969, 12, 31, 23, 59, 59, 500000)], pa.timestamp("us", tz="UTC")),
            "extra": ['{"a": {"b": 1}, "list": [1, 2]}', None, "{}"],
        }
    )
    path = tmp_path / "part-1.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture
def staged(query: Query, file: Path) -> Query:
    """The file is staged, the table is empty."""
    query("create stage LAKE file_format = (type = parquet)")
    query(TARGET)
    query(f"put 'file://{file}' @RAW.LAKE/events auto_compress=false overwrite=false")
    return query


def loaded(rows: list) -> int:
    """Number of loaded rows, from COPY's answer: one row for each file, or a sentence if there was nothing to load."""
    if rows == [("Copy executed with 0 files processed.",)]:
        return 0
    return sum(row[3] for row in rows if row[1] == "LOADED")


def test_list_shows_what_put_stored(staged: Query, file: Path) -> None:
    ((name, size, md5, _),) = staged("list @RAW.LAKE/events")
    assert name == "lake/events/part-1.parquet"
    assert size == file.stat().st_size
    assert md5 == hashlib.md5(file.read_bytes()).hexdigest()
    assert staged("list @LAKE/other") == []


def test_a_glob_puts_each_file_and_quoted_stages_are_found(query: Query, file: Path) -> None:
    (file.parent / "part-2.parquet").write_bytes(file.read_bytes())
    query("create stage LAKE")
    rows = query(f"put 'file://{file.parent}/part-*.parquet' '@\"RAW\".\"LAKE\"/events' auto_compress=false")
    assert sorted((r[0], r[6]) for r in rows) == [("part-1.parquet", "UPLOADED"), ("part-2.parquet", "UPLOADED")]
    assert len(query("list @LAKE")) == 2


def test_a_path_may_have_an_apostrophe(query: Query, tmp_path: Path) -> None:
    folder = tmp_path / "Ada's files"
    folder.mkdir()
    (folder / "a.csv").write_text("1\n")
    query("create or replace stage APOSTROPHES")
    query(f"put 'file://{folder}/a.csv'".replace("Ada's", "Ada''s") + " @APOSTROPHES auto_compress = false")
    assert [name for name, *_ in query("list @APOSTROPHES")] == ["apostrophes/a.csv"]


def test_put_compresses_when_asked(query: Query, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,a\n2,b\n")
    query("create stage LAKE")
    query("create table ROWS_ (ID number, NAME varchar)")
    query(f"put 'file://{tmp_path}/rows.csv' @LAKE")
    assert [r[0] for r in query("list @LAKE")] == ["lake/rows.csv.gz"]
    assert loaded(query("copy into ROWS_ from @LAKE file_format = (type = csv)")) == 2


def test_remove_clears_a_path(staged: Query) -> None:
    assert staged("remove @RAW.LAKE/events") == [("lake/events/part-1.parquet", "removed")]
    assert staged("list @RAW.LAKE") == []


def test_a_dropped_stage_is_empty_when_it_is_created_again(staged: Query, connect: Connect) -> None:
    staged("drop stage LAKE")
    staged("drop stage if exists LAKE")
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        staged("list @LAKE")
    staged("create stage LAKE")
    assert staged("list @LAKE") == []
    other = connect()
    other.cursor().execute("create temporary stage RAW.PASSING")
    other.close()
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        staged("list @RAW.PASSING")


@pytest.mark.parametrize(
    "end", ["drop schema {0}.PASSING", "create or replace schema {0}.PASSING", "drop database {0}"]
)
def test_stages_and_file_formats_go_with_their_schema(query: Query, file: Path, database: str, end: str) -> None:
    other = f"{database}_B"
    query(f"create database {other}")
    query(f"create schema {other}.PASSING")
    query(f"create stage {other}.PASSING.LAKE")
    query(f"create file format {other}.PASSING.FILES type = parquet")
    query(f"put 'file://{file}' @{other}.PASSING.LAKE auto_compress=false")
    query(end.format(other))
    query(f"create database if not exists {other}")
    query(f"create schema if not exists {other}.PASSING")
    with pytest.raises(ProgrammingError, match="does not exist or not authorized"):
        query(f"list @{other}.PASSING.LAKE")
    query(f"create stage {other}.PASSING.LAKE")
    query(f"create file format {other}.PASSING.FILES type = csv")
    assert query(f"list @{other}.PASSING.LAKE") == [], "the new stage has none of the old one's files"
    query(f"drop database {other}")


@pytest.mark.local_only
@pytest.mark.parametrize("kind", ["stage", "schema"])
def test_a_name_that_is_a_path_deletes_nothing(query: Query, tmp_path: Path, kind: str) -> None:
    (tmp_path / "kept").touch()
    query(f'create {kind} "{tmp_path}"')
    query(f'drop {kind} "{tmp_path}"')
    assert (tmp_path / "kept").exists()


def test_copy_with_a_transformation(staged: Query) -> None:
    assert loaded(staged(TRANSFORMATION.format(files="'part-1.parquet'"))) == 3
    assert staged("select ID, NAME, SECONDS, AT, BATCH_ID from EVENTS order by ID") == [
        (1, "one", 1.5, NOON, 7),
        (2, None, None, None, 7),
        (3, "it's three", 3.0, dt.datetime(1969, 12, 31, 23, 59, 59, 500000), 7),
    ]
    assert staged("select EXTRA:a.b::int, EXTRA:list[1]::int, EXTRA is null from EVENTS order by ID") == [
        (1, 2, False), (None, None, True), (None, None, False)
    ]  # fmt: skip
    assert staged("select count(*) from EVENTS where LOADED_AT is not null") == [(3,)]


def test_paths_into_extra(staged: Query) -> None:
    """Paths into a VARIANT, as models use them: nested, case-sensitive, missing, and as text."""
    staged(TRANSFORMATION.format(files="'part-1.parquet'"))
    paths = ("EXTRA:a", "EXTRA:a.b", "EXTRA:a['b']", "EXTRA['a']['b']", "EXTRA:A.b", "EXTRA:absent.b", "EXTRA:list[1]",
             "EXTRA:list[9]")  # fmt: skip
    texts = ", ".join(f"{path}::varchar" for path in paths)
    assert staged(f"select {texts} from EVENTS where ID = 1") == [
        ('{"b":1}', "1", "1", "1", None, None, "2", None)
    ]  # fmt: skip
    assert staged("select EXTRA:a.b::number + 1, EXTRA:list[0] = 1 from EVENTS where ID = 1") == [(2, True)]
    assert staged('select parse_json(\'{"a b": {"C": "it\'\'s"}}\'):"a b".C::varchar') == [("it's",)]
    assert staged("select EXTRA:a is null from EVENTS order by ID") == [(False,), (True,), (True,)]


def test_a_file_is_loaded_once(staged: Query) -> None:
    copy = TRANSFORMATION.format(files="'part-1.parquet'")
    staged(copy)
    assert loaded(staged(copy)) == 0
    assert staged("select count(*) from EVENTS") == [(3,)]
    assert loaded(staged(copy.replace("force = false", "force = true"))) == 3


def test_the_load_history_is_the_tables(staged: Query) -> None:
    """CREATE IF NOT EXISTS keeps it, RENAME and SWAP move it with the table, TRUNCATE and REPLACE clear it."""
    copy = TRANSFORMATION.format(files="'part-1.parquet'")
    staged(copy)
    staged(TARGET.replace("or replace table", "table if not exists"))
    assert loaded(staged(copy)) == 0
    staged("create table REBUILT like EVENTS")
    staged("alter table EVENTS swap with REBUILT")
    assert loaded(staged(copy)) == 3
    staged("alter table REBUILT rename to OLD")
    assert loaded(staged(copy.replace("RAW.EVENTS", "RAW.OLD"))) == 0
    staged("truncate table EVENTS")
    assert loaded(staged(copy)) == 3
    staged(TARGET)
    assert loaded(staged(copy)) == 3
    history = staged(
        "select FILE_NAME, ROW_COUNT, STATUS from INFORMATION_SCHEMA.LOAD_HISTORY where TABLE_NAME='EVENTS'"
    )
    assert [(name.rsplit("/", 1)[-1], *rest) for name, *rest in history] == [("part-1.parquet", 3, "LOADED")]


def test_a_copy_that_was_rolled_back_may_load_its_files_again(staged: Query) -> None:
    """A loader relies on it: watermark and COPY are rolled back together, and a repeat loads every file."""
    copy = TRANSFORMATION.format(files="'part-1.parquet'")
    staged("create table STATE as select 0 as VERSION")
    for _ in range(2):
        staged("begin")
        staged("update STATE set VERSION = 1 where VERSION = 0")
        assert loaded(staged(copy)) == 3
        staged("rollback")
        assert staged("select (select count(*) from EVENTS), (select VERSION from STATE)") == [(0, 0)]
    staged("begin")
    staged("update STATE set VERSION = 1 where VERSION = 0")
    assert loaded(staged(copy)) == 3
    staged("commit")
    assert staged("select (select count(*) from EVENTS), (select VERSION from STATE)") == [(3, 1)]


def test_copy_rolls_back_with_its_transaction(staged: Query) -> None:
    copy = TRANSFORMATION.format(files="'part-1.parquet'")
    staged("begin")
    staged(copy)
    staged("rollback")
    assert staged("select count(*) from EVENTS") == [(0,)]
    assert loaded(staged(copy)) == 3


def test_copy_of_several_files_loads_all_or_none(staged: Query, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["no number"], "name": ["x"], "seconds": [1.0], "at": [NOON], "extra": ["{}"]}),
                   tmp_path / "part-2.parquet")  # fmt: skip
    staged(f"put 'file://{tmp_path}/part-2.parquet' @RAW.LAKE/events auto_compress=false")
    with pytest.raises(ProgrammingError):
        staged(TRANSFORMATION.format(files="'part-1.parquet', 'part-2.parquet'"))
    assert staged("select count(*) from EVENTS") == [(0,)]
    assert loaded(staged(TRANSFORMATION.format(files="'part-1.parquet'"))) == 3


def test_a_file_that_is_not_there_is_an_error(staged: Query) -> None:
    with pytest.raises(ProgrammingError, match="not found"):
        staged(TRANSFORMATION.format(files="'absent.parquet'"))


def test_match_by_column_name_takes_missing_and_extra_columns(staged: Query) -> None:
    staged("create table NARROW (NAME varchar, ID number, ABSENT varchar)")
    staged(
        "copy into NARROW from @RAW.LAKE/events/ file_format = (type = parquet) match_by_column_name = case_insensitive"
    )
    assert staged("select ID, ABSENT from NARROW order by ID") == [(1, None), (2, None), (3, None)]


def test_put_twice_replaces_the_file(staged: Query, file: Path) -> None:
    staged(f"put 'file://{file}' @RAW.LAKE/events auto_compress=false overwrite=true")
    assert len(staged("list @RAW.LAKE/events")) == 1


@pytest.mark.local_only
@pytest.mark.parametrize("fault", ["wrong digest", "outside"])
def test_an_incomplete_put_leaves_nothing(server: LocalWarehouse, database: str, fault: str) -> None:
    digest = b64encode(hashlib.sha256(b"something else").digest()).decode()
    name = f"{database}/RAW/LAKE/half.parquet" if fault == "wrong digest" else "..%2F..%2Fescaped"
    url = f"http://{LOOPBACK}:{server.port}/stage/{name}"
    upload = urllib.request.Request(url, b"half", {"x-goog-meta-sfc-digest": digest}, method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(upload, timeout=5)
    assert not list(server.root.rglob("half*")) + list(server.root.rglob("put-*")) + list(server.root.rglob("escaped*"))


def test_copy_refuses_text_that_a_varchar_does_not_hold(query: Query, tmp_path: Path) -> None:
    query("create stage LAKE file_format = (type = parquet)")
    query(TARGET)
    limit = 16_777_216
    for name, text in (("fits", "é" * limit), ("long", "x" * (limit + 1))):
        row = {"id": [1], "name": [text], "seconds": [None], "at": pa.array([None], pa.timestamp("us")), "extra": ["1"]}
        pq.write_table(pa.table(row), tmp_path / f"{name}.parquet")
        query(f"put 'file://{tmp_path / f'{name}.parquet'}' @RAW.LAKE/events auto_compress=false overwrite=false")
    query(TRANSFORMATION.format(files="'fits.parquet'"))
    assert query("select length(NAME) from EVENTS") == [(limit,)]
    with pytest.raises(ProgrammingError, match="String in column NAME is too long and would be truncated"):
        query(TRANSFORMATION.format(files="'long.parquet'"))
