"""What clients cannot reach through the local warehouse: files, the engine itself, other users' doors."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import DatabaseError, ProgrammingError

from conformance.launcher import LOOPBACK, LocalWarehouse

PASSWORD = "of-this-warehouse"
SECRET = "PRIVATE KEY"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWarehouse]:
    """A warehouse with a password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OF_THE_TEST", PASSWORD)
        options = ("--password-variable", "OF_THE_TEST")
        warehouse = LocalWarehouse(tmp_path_factory.mktemp("guarded") / "files", *options, password=PASSWORD)
    yield warehouse
    warehouse.stop()


@pytest.fixture
def session(guarded: LocalWarehouse) -> Iterator[SnowflakeConnection]:
    with guarded.connect(database="DOORS", schema="PUBLIC") as opened:
        yield opened


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A file of the user's outside the warehouse."""
    file = tmp_path / "id_rsa"
    file.write_text(SECRET)
    return file


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_csv('{file}')",
        "CREATE TABLE stolen AS SELECT * FROM read_text('{file}')",
        "COPY (SELECT 'pwned') TO '{file}' (FORMAT csv)",
        "COPY INTO '{file}' FROM (SELECT 'pwned')",
        "COPY INTO @~/x FROM (SELECT 'pwned')",
        "ATTACH '{file}' AS other",
        "PRAGMA database_list",
        "LOAD httpfs",
        "INSTALL httpfs",
        "CALL pragma_version()",
        "EXPORT DATABASE '{folder}'",
        "SET enable_external_access = true",
    ],
)
def test_no_statement_reaches_the_users_files_or_the_engine(
    session: SnowflakeConnection, key: Path, statement: str
) -> None:
    cursor = session.cursor()
    try:
        rows = cursor.execute(statement.format(file=key, folder=key.parent)).fetchall()  # type: ignore[union-attr]
    except ProgrammingError:
        rows = []
    assert SECRET not in str(rows)
    assert key.read_text() == SECRET
    with pytest.raises(ProgrammingError):
        cursor.execute(f"SELECT * FROM read_text('{key}')")


def test_a_stage_named_like_a_path_reaches_nothing(session: SnowflakeConnection, tmp_path: Path, key: Path) -> None:
    cursor = session.cursor()
    for statement in (
        f'CREATE STAGE "{tmp_path}"',
        f"LIST '@\"{tmp_path}\"'",
        f"REMOVE '@\"{tmp_path}\"'",
        f"PUT 'file://{key}' '@\"{tmp_path}\"'",
        f'DROP STAGE "{tmp_path}"',
    ):
        try:
            rows = cursor.execute(statement).fetchall()  # type: ignore[union-attr]
        except ProgrammingError:
            rows = []
        assert "id_rsa" not in str(rows), statement
        assert [file.name for file in tmp_path.iterdir()] == ["id_rsa"], statement
    assert key.read_text() == SECRET


def test_only_the_password_logs_in(guarded: LocalWarehouse) -> None:
    for password in ("wrong", "local", f"{PASSWORD} "):
        with pytest.raises(DatabaseError, match="Incorrect username or password"):
            snowflake.connector.connect(
                host=LOOPBACK, port=guarded.port, protocol="http", account="local", user="anybody", password=password,
                database="MADE_BY_A_STRANGER",
            )  # fmt: skip
    assert "MADE_BY_A_STRANGER" not in guarded.health()["databases"]


def ask(port: int, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", body, given, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_web_page_gets_nowhere(guarded: LocalWarehouse) -> None:
    login = json.dumps({"data": {"PASSWORD": PASSWORD}}).encode()
    path = "/session/v1/login-request?databaseName=FROM_A_PAGE"
    assert ask(guarded.port, path, login, Content_Type="text/plain") == 415
    assert ask(guarded.port, path, login, Content_Type="application/json", Origin="http://evil.example") == 403
    assert ask(guarded.port, path, login, Content_Type="application/json", Sec_Fetch_Site="same-site") == 403
    assert ask(guarded.port, "/health", Host="evil.example") == 403
    assert "FROM_A_PAGE" not in guarded.health()["databases"]


def test_only_a_signed_address_takes_an_upload(guarded: LocalWarehouse, session: SnowflakeConnection) -> None:
    session.cursor().execute("CREATE STAGE uploads")
    path = "/stage/DOORS/PUBLIC/UPLOADS/a.csv"
    assert ask(guarded.port, path, b"1\n", "PUT") == 403
    assert ask(guarded.port, f"{path}?signature=0", b"1\n", "PUT") == 403
    assert session.cursor().execute("LIST @uploads").fetchall() == []  # type: ignore[union-attr]


def test_only_the_password_shows_statements(guarded: LocalWarehouse) -> None:
    assert ask(guarded.port, "/statements") == 401
    assert ask(guarded.port, "/statements", Authorization=f"Bearer {PASSWORD}") == 200


def test_a_request_is_bounded(guarded: LocalWarehouse) -> None:
    import gzip

    bomb = gzip.compress(b" " * (257 * 2**20), compresslevel=1)
    headers = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    assert ask(guarded.port, "/session/v1/login-request", bomb, **headers) == 413
