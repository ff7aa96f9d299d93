"""A real HTTP server on this machine that receives alerts, as a messenger would."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Received:
    """The receiver's URL for apprise, and the received posts: (epoch seconds, type, title). Also a dead man's switch:
    its URL, and when it was called. `status` is what it answers; with another than 200, posts are `refused`."""

    url: str
    posts: list[tuple[float, str, str]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    ping_url: str = ""
    pings: list[float] = field(default_factory=list)
    status: int = 200


@contextmanager
def receiving() -> Iterator[Received]:
    """A receiver that runs until the block ends."""
    received = Received("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            post = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            title = post["title"].removeprefix("music-platform: ")
            if received.status == 200:
                received.bodies.append(post["message"])
                received.posts.append((time.time(), post["type"], title))
            else:
                received.refused.append(title)
            self._answer()

        def do_GET(self) -> None:
            received.pings.append(time.time())
            self._answer()

        def _answer(self) -> None:
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"json://127.0.0.1:{server.server_port}/"
    received.ping_url = f"http://127.0.0.1:{server.server_port}/ping"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
