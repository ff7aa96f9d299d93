"""Who gets through to a web page of the platform, and who does not."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from music_platform.web_guard import Request, WebGuard, decide, login_address, login_key

SECRET = "the-secret"
KEY = login_key(SECRET)
ENDPOINTS = ("/graphql", "/report_")
HOST = {"host": "127.0.0.1:3000"}
COOKIE = {"cookie": f"music-platform-3000={KEY}"}
TOKEN = {"authorization": f"Bearer {SECRET}"}
OWN_PAGE = {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
MUTATION = "query=mutation{wipeAssets(assetPartitionRanges:[]){__typename}}"


def status(method: str = "GET", path: str = "/", query: str = "", websocket: bool = False, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = decide(Request(method, path, query, given, websocket), SECRET, "music-platform-3000", ENDPOINTS)
    return answer.status if answer else 200


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "[::1]:3000"])
def test_the_own_page_and_a_client_with_the_secret_get_through(host: str) -> None:
    own = {**COOKIE, "host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert status("POST", "/graphql", **own) == 200
    assert status("GET", "/graphql", websocket=True, **own) == 200
    assert status("GET", "/assets/raw/events", host=host, **COOKIE) == 200
    assert status("POST", "/report_asset_check/x", **TOKEN, host=host) == 200


@pytest.mark.parametrize("name", ["evil.example:3000", "127.0.0.1.evil.example", "", "10.0.0.7:3000"])
def test_a_rebound_name_is_refused(name: str) -> None:
    assert status("POST", "/graphql", **COOKIE, **TOKEN, host=name) == 403
    assert status("GET", "/", **COOKIE, host=name) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_reaches_nothing(site: str) -> None:
    image = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    form = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "origin": "null"}
    assert status("GET", "/graphql", MUTATION, **HOST, **COOKIE, **image) == 403
    assert status("GET", "/", **HOST, **COOKIE, **image) == 403
    assert status("POST", "/report_asset_materialization/x", **HOST, **COOKIE, **form) == 403
    assert status("POST", "/graphql", **HOST, **COOKIE, origin="http://127.0.0.1:9999") == 403
    assert status("GET", "/graphql", websocket=True, **HOST, **COOKIE, origin="http://evil.example") == 403


def test_a_link_opens_a_page_and_no_endpoint() -> None:
    assert status("GET", "/runs/abc", **HOST, **COOKIE, **LINK) == 200
    assert status("GET", "/graphql", MUTATION, **HOST, **COOKIE, **LINK) == 403
    assert status("GET", "/report_asset_check/x", "passed=true", **HOST, **COOKIE, **LINK) == 403


def test_no_address_is_a_mutation() -> None:
    assert status("GET", "/graphql", MUTATION, **HOST, **TOKEN) == 405


def test_who_has_neither_cookie_nor_secret_is_told_what_to_open() -> None:
    for headers in ({}, {"cookie": "music-platform-3000=0"}, {"authorization": "Bearer wrong"}, OWN_PAGE):
        assert status("GET", "/", **HOST, **headers) == 401
        assert status("POST", "/graphql", **HOST, **headers) == 401
    assert status("GET", "/", **HOST, cookie=f"music-platform-4000={KEY}") == 401, "another server's cookie"


def test_the_printed_address_logs_in_and_forgets_its_key() -> None:
    address = login_address("http://127.0.0.1:3000", SECRET)
    assert SECRET not in address
    query = address.partition("?")[2]
    answer = decide(Request("GET", "/runs", f"a=b&{query}", HOST), SECRET, "music-platform-3000", ENDPOINTS)
    assert answer is not None
    assert answer.status == 303
    assert dict(answer.headers)["location"] == "/runs?a=b"
    assert "HttpOnly; SameSite=Lax" in dict(answer.headers)["set-cookie"]
    assert SECRET not in dict(answer.headers)["set-cookie"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_is_refused_does_not_reach_the_application(kind: str) -> None:
    reached, sent = [], []

    async def application(scope: MutableMapping[str, Any], _receive: object, _send: object) -> None:
        reached.append(scope["path"])

    async def receive() -> MutableMapping[str, Any]:
        return {"type": f"{kind}.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    guard = WebGuard(application, SECRET, "3000", ENDPOINTS)
    scope = {"type": kind, "method": "GET", "path": "/", "query_string": b"", "headers": [(b"Host", b"evil.example")]}
    asyncio.run(guard(scope, receive, send))
    assert not reached
    assert sent == (["http.response.start", "http.response.body"] if kind == "http" else ["websocket.close"])
    asyncio.run(guard({**scope, "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer the-secret")]},
                      receive, send))  # fmt: skip
    assert reached == ["/"]
