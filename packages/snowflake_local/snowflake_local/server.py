"""The HTTP server: the requests of Snowflake's connectors, answered from sessions and cursors.

fakesnow's own server answers anything unexpected with HTTP 500, which the connector retries for minutes. It ignores
aborts, runs a repeated request twice and encodes results on the event loop, so that one large SELECT blocks all
clients. Here every answer is HTTP 200 with a Snowflake error inside, and threads do everything but parse HTTP.
"""

import gzip
import hmac
import io
import ipaddress
import json
import logging
import time
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import orjson
from snowflake.connector.errors import Error
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from snowflake_local import binds, execution, results, stages
from snowflake_local._fakesnow import DML_TYPE_IDS, SERVER_VERSION
from snowflake_local.cursor import Cursor
from snowflake_local.errors import translate
from snowflake_local.requests import Requests
from snowflake_local.sessions import Session, Sessions
from snowflake_local.storage import Storage
from snowflake_local.uploads import UPLOAD_PATH

logger = logging.getLogger(__name__)

#: Statements that may run or wait at the same time. Many, so that those waiting for a lock never block its holder.
THREADS = 400
#: Latest statements that GET /statements shows.
KEPT_STATEMENTS = 5_000
#: Characters that it shows of each.
LONGEST_SHOWN = 20_000
#: Bytes of a request: a statement, with the rows of an executemany.
REQUEST_BYTES = 256 * 2**20
LOGIN_AGAIN = ("390111", "Session no longer exists. New login required to access the service.")


class Server:
    """The warehouse behind HTTP."""

    def __init__(self, storage: Storage, sessions: Sessions, password: str | None = None, delay: float = 0.0) -> None:
        self._password = password
        #: Seconds to wait before each statement.
        self._delay = delay
        self._storage = storage
        self._sessions = sessions
        self._requests = Requests()
        self._statements = 0
        self._latest: deque[dict[str, str | int]] = deque(maxlen=KEPT_STATEMENTS)

    def app(self) -> ASGIApp:
        """The ASGI application."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
            yield

        return LoopbackOnly(
            Starlette(
                lifespan=lifespan,
                routes=[
                    Route("/health", self._health, methods=["GET"]),
                    Route("/statements", self._statements_sent, methods=["GET"]),
                    Route("/session/v1/login-request", self._threaded(self._login), methods=["POST"]),
                    Route("/session", self._threaded(self._session), methods=["POST"]),
                    Route("/session/heartbeat", self._threaded(self._session), methods=["POST"]),
                    Route("/session/token-request", self._threaded(self._renew), methods=["POST"]),
                    Route("/queries/v1/query-request", self._threaded(self._query), methods=["POST"]),
                    Route("/queries/v1/abort-request", self._threaded(self._abort), methods=["POST"]),
                    Route("/monitoring/queries/{query_id}", self._threaded(self._monitor), methods=["GET"]),
                    Route("/telemetry/send", self._threaded(lambda *_: _success(None)), methods=["POST"]),
                    Route(UPLOAD_PATH + "{path:path}", self._upload, methods=["PUT"]),
                ],
            )
        )

    def _threaded(self, answer: Callable[[Request, dict[str, Any]], bytes]) -> Callable[[Request], Any]:
        """A route that runs `answer` in a thread and never returns HTTP 500."""

        async def route(request: Request) -> Response:
            if request.method == "POST" and not request.headers.get("Content-Type", "").startswith("application/json"):
                # A web page may send any other type to this server without asking it first.
                return PlainTextResponse("Requests must be of the type application/json.", status_code=415)
            try:
                body = await _bounded(request)
            except RequestTooLargeError as error:
                return PlainTextResponse(str(error), status_code=413)

            def work() -> bytes:
                try:
                    return answer(request, _decoded(body))
                except Exception as error:
                    logger.exception("unexpected error at %s", request.url.path)
                    return _failure(translate(error))

            return Response(await run_in_threadpool(work), media_type="application/json")

        return route

    async def _health(self, _: Request) -> Response:
        """For supervisors and tests. Needs no session and is not counted as a statement."""
        databases = await run_in_threadpool(self._storage.databases)
        return JSONResponse(
            {"status": "ok", "statements": self._statements, "databases": databases, "version": SERVER_VERSION}
        )

    async def _statements_sent(self, request: Request) -> Response:
        """The latest statements, oldest first: for tests, and to find out who keeps the warehouse busy."""
        if not self._is_password(request.headers.get("Authorization", "").removeprefix("Bearer ")):
            return PlainTextResponse("The warehouse's password is needed as a bearer token.", status_code=401)
        return JSONResponse(list(self._latest))

    def _is_password(self, given: str) -> bool:
        return self._password is None or hmac.compare_digest(given.encode(), self._password.encode())

    def _login(self, request: Request, body: dict[str, Any]) -> bytes:
        if not self._is_password(str(body["data"].get("PASSWORD", ""))):
            return _refusal("390100", "Incorrect username or password was specified.")
        database, schema = request.query_params.get("databaseName"), request.query_params.get("schemaName")
        parameters = body["data"].get("SESSION_PARAMETERS", {})
        autocommit = bool(parameters.get("AUTOCOMMIT", True))
        session = self._sessions.open(database, schema, autocommit)
        session.parameters["QUERY_TAG"] = str(parameters.get("QUERY_TAG", ""))
        return _success(
            {
                "token": session.token,
                "masterToken": session.token,
                "serverVersion": SERVER_VERSION,
                "parameters": [
                    {"name": "AUTOCOMMIT", "value": autocommit},
                    {"name": "TIMEZONE", "value": "Etc/UTC"},
                    {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                    # Arrays are always bound inline, never through a stage.
                    {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
                ],
                "sessionInfo": {"databaseName": session.database, "schemaName": session.schema},
            }
        )

    def _session(self, request: Request, _: dict[str, Any]) -> bytes:
        token = _token(request)
        if self._sessions.get(token) is None:
            return _refusal(*LOGIN_AGAIN)
        if request.query_params.get("delete"):
            self._sessions.end(token)
        return _success(None)

    def _renew(self, _: Request, __: dict[str, Any]) -> bytes:
        return _refusal(*LOGIN_AGAIN)

    def _query(self, request: Request, body: dict[str, Any]) -> bytes:
        if (session := self._sessions.get(_token(request))) is None:
            return _refusal(*LOGIN_AGAIN)
        self._statements += 1
        text = str(body.get("sqlText", ""))
        self._latest.append(
            {
                "text": text[:LONGEST_SHOWN],
                "characters": len(text),
                "query_tag": session.parameters.get("QUERY_TAG", ""),
            }
        )
        base_url = f"{request.url.scheme}://{request.url.netloc}"
        return self._requests.once(
            request.query_params.get("requestId", ""), session, lambda: _run(session, body, base_url, self._delay)
        )

    def _abort(self, _: Request, body: dict[str, Any]) -> bytes:
        self._requests.cancel(body.get("requestId", ""))
        return _success(None)

    def _monitor(self, request: Request, _: dict[str, Any]) -> bytes:
        known = request.path_params["query_id"] in self._storage.results
        return _success({"queries": [{"status": "SUCCESS"}] if known else []})

    async def _upload(self, request: Request) -> Response:
        if not self._storage.uploads.allows(request.path_params["path"], request.query_params.get("signature", "")):
            return PlainTextResponse("The address of this upload is not signed by this server.", status_code=403)
        length = request.headers.get("Content-Length")
        try:
            await stages.receive(
                self._storage,
                request.path_params["path"],
                request.stream(),
                int(length) if length else None,
                request.headers.get("x-goog-meta-sfc-digest"),
            )
        except stages.CorruptUploadError as error:
            return PlainTextResponse(str(error), status_code=403)
        return Response()


class LoopbackOnly:
    """Refuses requests from other machines and from web pages.

    A page in a browser on this machine could reach the warehouse by the address, or by a host name of its own that
    points here.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http":
            client = scope.get("client")
            host = Request(scope).url.hostname or ""
            from_a_page = {"origin", "sec-fetch-site"} & set(Request(scope).headers)
            if client is None or not _is_loopback(client[0]) or not _is_loopback(host) or from_a_page:
                refused = PlainTextResponse("The local warehouse serves this machine only.", status_code=403)
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _run(session: Session, body: dict[str, Any], base_url: str, delay: float) -> bytes:
    """Run the statement of a request and encode the answer."""
    with session.statement():
        time.sleep(delay)
        cursor = Cursor(session)
        try:
            bindings = body.get("bindings")
            if body.get("describeOnly"):
                return _described(session, cursor, execution.describe_only(cursor, body["sqlText"]))
            params = None
            if (rows := binds.rows(bindings)) is not None:
                execution.run_batch(cursor, body["sqlText"], rows)
            else:
                params = binds.values(bindings)
                execution.run(cursor, body["sqlText"], params)
            if cursor.put is not None:
                return _success(stages.upload_command(cursor.put, session, binds.values(bindings), base_url))
        except Error as error:
            return _failure(error)
        except Exception as error:
            return _failure(translate(error))
    return _answered(session, cursor)


def _answered(session: Session, cursor: Cursor) -> bytes:
    rows = cursor.rows
    data = _about_result(session, cursor) | {"rowtype": cursor.columns, "total": rows.num_rows}
    if cursor.type_id in DML_TYPE_IDS:
        # Connectors expect the counts of DML as JSON.
        data |= {
            "queryResultFormat": "json",
            "rowset": [[None if v is None else str(v) for v in row.values()] for row in rows.to_pylist()],
        }
    else:
        # As Snowflake does, nothing without a row: connectors cannot make a table of a stream without batches.
        encoded = b64encode(results.to_ipc(rows, cursor.columns)).decode() if rows.num_rows else ""
        data |= {"queryResultFormat": "arrow", "rowsetBase64": encoded}
    stats = results.dml_stats(rows)
    if cursor.rows_created is not None:
        stats = {
            "numRowsInserted": cursor.rows_created,
            "numRowsUpdated": 0,
            "numRowsDeleted": 0,
            "numDmlDuplicates": 0,
        }
    if stats:
        data["stats"] = stats
    return _success(data)


def _described(session: Session, cursor: Cursor, columns: list[Any]) -> bytes:
    return _success(
        _about_result(session, cursor)
        | {"rowtype": columns, "total": 0, "returned": 0, "queryResultFormat": "arrow", "rowsetBase64": ""}
    )


def _about_result(session: Session, cursor: Cursor) -> dict[str, Any]:
    return {
        "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
        "queryId": cursor.sfqid,
        "statementTypeId": cursor.type_id,
        "finalDatabaseName": session.database,
        "finalSchemaName": session.schema,
    }


def _success(data: Any) -> bytes:
    return orjson.dumps({"data": data, "code": None, "message": None, "success": True})


def _refusal(code: str, message: str) -> bytes:
    return orjson.dumps({"data": None, "code": code, "message": message, "success": False})


def _failure(error: Error) -> bytes:
    code = f"{error.errno:06d}"
    return orjson.dumps(
        {
            "data": {"errorCode": code, "sqlState": error.sqlstate, "queryId": None},
            "code": code,
            "message": error.raw_msg,
            "success": False,
        }
    )


def _token(request: Request) -> str:
    return request.headers.get("Authorization", "").removeprefix('Snowflake Token="').removesuffix('"')


class RequestTooLargeError(Exception):
    """The body has more bytes than a statement with its bound values can need."""

    def __init__(self) -> None:
        super().__init__(f"A request may have {REQUEST_BYTES:,} bytes.")


async def _bounded(request: Request) -> bytes:
    """The body, decompressed. Raises RequestTooLargeError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > REQUEST_BYTES:
            raise RequestTooLargeError
    if request.headers.get("Content-Encoding") != "gzip":
        return bytes(body)
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as compressed:
        content = compressed.read(REQUEST_BYTES + 1)
    if len(content) > REQUEST_BYTES:
        raise RequestTooLargeError
    return content


def _decoded(body: bytes) -> dict[str, Any]:
    decoded = json.loads(body) if body else {}
    return decoded if isinstance(decoded, dict) else {}
