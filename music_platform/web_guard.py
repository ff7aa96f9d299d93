"""Decides who may use the platform's web pages: this user, in a logged-in browser or with the home's secret.

A local port is open to every program of every user, and to every web page in a local browser. A page can send requests
to 127.0.0.1 (cross-site request forgery) and, through a name that resolves to 127.0.0.1, read the answers (DNS
rebinding). So each request must name a loopback host, must not come from another site, and must present the home's
secret: as a bearer token, or as the cookie set by the address that `up` prints. The headers are those of the Fetch
Metadata specification (https://www.w3.org/TR/fetch-metadata/).
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
#: Command that prints the address which logs a browser in, unless a server names another.
COMMAND = "music-platform open"
#: Query parameter that logs a browser in.
KEY = "key"
COOKIE_SECONDS = 30 * 24 * 3600


def login_key(secret: str) -> str:
    """The key in the login address and the cookie. Unlike the secret, it opens only web pages."""
    return hmac.new(secret.encode(), b"web", hashlib.sha256).hexdigest()


def login_address(url: str, secret: str | None) -> str:
    """The address that logs a browser in."""
    return f"{url}/?{urlencode({KEY: login_key(secret)})}" if secret else url


@dataclass(frozen=True)
class Request:
    """The parts of a request that the decision needs. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    websocket: bool = False


@dataclass(frozen=True)
class Answer:
    """The guard's answer in place of the page."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


def decide(
    request: Request, secret: str, cookie: str, endpoints: Iterable[str], command: str = COMMAND
) -> Answer | None:
    """The guard's answer; None lets the request through. `endpoints`: prefixes of paths that are not pages."""
    headers = request.headers
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in LOOPBACK_NAMES:
        return Answer(403, f"This server only accepts requests to 127.0.0.1 and localhost, not to {host[:100]!r}.")
    acts = any(request.path.startswith(endpoint) for endpoint in endpoints)
    site = headers.get("sec-fetch-site", "none")
    # A link in a mail or a chat may open a page, but not an endpoint.
    follows_link = (
        headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and request.method == "GET"
        and not acts
    )
    if site not in ("none", "same-origin") and not follows_link:
        return Answer(403, "Requests from other web sites are refused.")
    if headers.get("origin", f"http://{host}") != f"http://{host}":
        return Answer(403, "Requests from other web sites are refused.")
    if acts and request.method == "GET" and request.query and not request.websocket:
        return Answer(405, "This address only accepts POST requests.", (("allow", "POST"),))
    key = login_key(secret)
    given = dict(parse_qsl(request.query))
    if request.method == "GET" and not acts and hmac.compare_digest(given.pop(KEY, ""), key):
        cookie_text = f"{cookie}={key}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
        target = request.path + (f"?{urlencode(given)}" if given else "")
        return Answer(303, "", (("location", f"/{target.lstrip('/')}"), ("set-cookie", cookie_text)))
    if hmac.compare_digest(headers.get("authorization", ""), f"Bearer {secret}"):
        return None
    if hmac.compare_digest(_cookie(headers, cookie), key):
        return None
    return Answer(401, f"Open the address that `{command}` prints. It logs this browser in.")


def _cookie(headers: Mapping[str, str], name: str) -> str:
    found = SimpleCookie(headers.get("cookie", "")).get(name)
    return found.value if found else ""


class WebGuard:
    """An ASGI application guarded by `decide`. `name` distinguishes the cookies of several servers on this machine."""

    def __init__(
        self, application: Application, secret: str, name: str, endpoints: Iterable[str] = (), command: str = COMMAND
    ) -> None:
        self._application, self._secret, self._cookie = application, secret, f"music-platform-{name}"
        self._endpoints, self._command = tuple(endpoints), command

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        answer = decide(_request(scope), self._secret, self._cookie, self._endpoints, self._command)
        if answer is None:
            await self._application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": answer.text[:120]})
        else:
            text = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
            more = [(name.encode(), value.encode()) for name, value in answer.headers]
            await send({"type": "http.response.start", "status": answer.status, "headers": [*text, *more]})
            await send({"type": "http.response.body", "body": f"{answer.text}\n".encode()})


def _request(scope: Scope) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        scope.get("method", "GET"),
        scope["path"],
        scope.get("query_string", b"").decode("latin-1"),
        headers,
        scope["type"] == "websocket",
    )
