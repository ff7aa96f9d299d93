"""Dagster's UI in a real browser: its own page works, a hostile page on another port gets nowhere."""

import json
import shutil
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from music_platform.cli.stack import write_login_page
from music_platform.stack.local_stack import LocalStack
from music_platform.web_guard import login_address
from tests.support import slowdown
from tests.support.stack import running_stack, tiny_code_location

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: A name that the browser is made to believe is this machine, as DNS rebinding does.
REBOUND = "evil.example"

WIPE = 'mutation{wipeAssets(assetPartitionRanges:[{assetKey:{path:["one"]}}]){__typename}}'
KNOWN = "{assetNodes{assetMaterializations(limit:1){runId}}}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Webserver and code server of a project with one asset."""
    only = frozenset({"code", "webserver"})
    project, home = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("home")
    with tiny_code_location(project), running_stack(home, only=only) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, which takes `REBOUND` for this machine."""
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        arguments = [f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1", "--no-sandbox", "--disable-gpu"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield running
        running.close()


def new_context(browser: Browser) -> BrowserContext:
    """What a browser that has just been opened knows: nothing."""
    context = browser.new_context()
    context.set_default_timeout(slowdown.seconds(30_000))
    return context


@pytest.fixture
def page(browser: Browser, served: LocalStack) -> Iterator[Page]:
    """A page of a browser that is logged in, with a materialization that an attack could wipe."""
    ask(served, "/report_asset_materialization/one", b"{}")
    assert materializations(served) == 1
    context = new_context(browser)
    opened = context.new_page()
    opened.goto(login_address(served.settings.dagster_url, served.settings.music_secret), wait_until="domcontentloaded")
    yield opened
    context.close()


def test_open_logs_a_browser_in_by_a_file_that_only_this_user_can_read(browser: Browser, served: LocalStack) -> None:
    page = write_login_page(served.home, login_address(served.settings.dagster_url, served.settings.music_secret))
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    context = new_context(browser)
    opened = context.new_page()
    opened.goto(page.as_uri())
    opened.wait_for_url(f"{served.settings.dagster_url}/**", wait_until="domcontentloaded")
    assert "key=" not in opened.url
    expect(opened).to_have_title("Overview | Timeline", timeout=slowdown.seconds(30_000))  # the UI has run
    context.close()


def ask(served: LocalStack, path: str, body: bytes | None = None, **headers: str) -> Any:
    own = {"Content-Type": "application/json", "Authorization": f"Bearer {served.settings.music_secret}"}
    request = urllib.request.Request(f"{served.settings.dagster_url}{path}", body, own | headers)
    with urllib.request.urlopen(request, timeout=slowdown.seconds(60)) as response:
        return json.loads(response.read() or b"null")


def materializations(served: LocalStack) -> int:
    found = ask(served, "/graphql", json.dumps({"query": KNOWN}).encode())
    return len(found["data"]["assetNodes"][0]["assetMaterializations"])


class Hostile:
    """A web site on another port, which serves one page."""

    def __init__(self, html: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(html.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def attacks(url: str) -> dict[str, str]:
    """Scripts of a hostile page; each ends with what it got."""
    query = f"{url}/graphql?query={urllib.request.quote(WIPE)}"  # type: ignore[attr-defined]
    body = json.dumps({"query": WIPE})
    return {
        "image": f"""new Promise(done => {{ const image = new Image();
            image.onload = () => done('loaded'); image.onerror = () => done('refused'); image.src = {query!r}; }})""",
        "form": f"""new Promise(done => {{ const frame = document.createElement('iframe'); frame.name = 'f';
            frame.onload = () => setTimeout(() => done('sent'), 300); document.body.append(frame);
            const form = document.createElement('form'); form.method = 'post'; form.target = 'f';
            form.action = {url + "/report_asset_materialization/two"!r}; document.body.append(form);
            form.submit(); }})""",
        "fetch": f"""fetch({url + "/graphql"!r}, {{method: 'POST', mode: 'no-cors', credentials: 'include',
            headers: {{'Content-Type': 'text/plain'}}, body: {body!r}}}).then(() => 'sent', () => 'refused')""",
        "websocket": f"""new Promise(done => {{ const socket =
            new WebSocket({url.replace("http", "ws") + "/graphql"!r}, 'graphql-ws');
            socket.onopen = () => done('opened'); socket.onerror = () => done('refused'); }})""",
    }


@pytest.mark.parametrize("name", ["image", "form", "fetch", "websocket"])
def test_a_hostile_page_changes_nothing(page: Page, served: LocalStack, name: str) -> None:
    site = Hostile("<body>hello</body>")
    try:
        page.goto(site.url, wait_until="load")
        answers: list[int] = []
        own = served.settings.dagster_url
        page.on("response", lambda response: answers.append(response.status) if response.url.startswith(own) else None)
        result = page.evaluate(attacks(own)[name])
        assert result not in ("loaded", "opened")
        assert all(status == 403 for status in answers), answers
        assert answers or name == "websocket", "the request reached the server"
        assert materializations(served) == 1
        assert ask(served, "/graphql", b'{"query":"{assetNodes{assetKey{path}}}"}')["data"]["assetNodes"] == [
            {"assetKey": {"path": ["one"]}}
        ]
    finally:
        site.close()


def test_a_rebound_name_reads_nothing(page: Page, served: LocalStack) -> None:
    response = page.goto(f"http://{REBOUND}:{served.settings.dagster_port}/")
    assert response is not None
    assert response.status == 403
    read = f"""fetch('/graphql', {{method: 'POST', headers: {{'Content-Type': 'application/json'}},
        body: {json.dumps({"query": KNOWN})!r}}}).then(r => r.status)"""
    assert page.evaluate(read) == 403


def test_the_own_page_works_and_its_address_keeps_no_key(page: Page, served: LocalStack) -> None:
    failed: list[str] = []
    page.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.goto(f"{served.settings.dagster_url}/assets/one")
    expect(page.get_by_text("one", exact=True).first).to_be_visible(timeout=slowdown.seconds(120_000))
    assert failed == []
    assert "key=" not in page.url


def test_a_link_from_another_page_opens_the_ui(page: Page, served: LocalStack) -> None:
    site = Hostile(f'<a href="{served.settings.dagster_url}/assets/one">an alert</a>')
    try:
        page.goto(site.url)
        with page.expect_navigation() as navigated:
            page.click("a")
        assert navigated.value.status == 200
    finally:
        site.close()


def test_who_is_not_logged_in_gets_a_sentence(browser: Browser, served: LocalStack) -> None:
    context = new_context(browser)
    stranger = context.new_page()
    response = stranger.goto(served.settings.dagster_url)
    assert response is not None
    assert response.status == 401
    assert "music-platform open" in stranger.content()
    context.close()


def test_command_line_clients_get_through_with_the_secret(served: LocalStack) -> None:
    assert "dagster_version" in ask(served, "/server_info")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(served, "/server_info", Authorization="")
