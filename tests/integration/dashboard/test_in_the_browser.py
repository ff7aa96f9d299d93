"""The dashboard in a real browser: the same numbers, nothing from elsewhere, and back after an outage."""

import csv
import io
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from music_dashboard.navigation import all_pages
from music_platform.environment import settings_environment
from music_platform.settings import Settings
from music_platform.stack import readiness, services
from music_platform.stack.local_stack import LocalStack
from music_platform.warehouse.connection import connect
from music_platform.warehouse.notice import say_changed
from music_platform.warehouse.schema import provision_warehouse
from music_platform.web_guard import login_address
from tests.integration.conftest import latest_statements
from tests.integration.dashboard.conftest import Truth
from tests.integration.dashboard.expected import EXPECTED, usual
from tests.integration.dashboard.test_numbers import OF_THE_PLATFORM, same
from tests.integration.test_browser import REBOUND, Hostile, new_context
from tests.integration.test_browser import browser as browser
from tests.support import slowdown
from tests.support.stack import running_stack
from tests.support.warehouse import TestWarehouse

pytestmark = pytest.mark.long
PAGES = {page.name: page for page in all_pages()}
#: Streamlit looks for its server below the page's own path first.
USUAL_404 = ("/_stcore/health", "/_stcore/host-config")


@pytest.fixture(scope="module")
def served(built: TestWarehouse) -> Iterator[Settings]:
    """The dashboard's own process, over the built warehouse."""
    settings = built.settings
    environment = {**os.environ, **settings_environment(settings, secrets=True)}
    log = (built.scratch / "dashboard.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "music_platform.dashboard"], env=environment, cwd=built.scratch, stdout=log, stderr=log
    )
    try:
        slowdown.wait_for("the dashboard", lambda: readiness.lacks(services.DASHBOARD, settings) is None, 60)
        yield settings
    finally:
        process.terminate()
        process.wait(slowdown.seconds(20))
        log.close()


@pytest.fixture
def page(browser: Browser, served: Settings) -> Iterator[Page]:
    """A logged-in browser far from Greenwich."""
    context = browser.new_context(timezone_id="America/Los_Angeles", viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(slowdown.seconds(30_000))
    opened = context.new_page()
    opened.goto(login_address(served.dashboard_url, served.music_secret), wait_until="domcontentloaded")
    yield opened
    context.close()


def open_page(page: Page, settings: Settings, name: str, query: str = "") -> None:
    """Open a page of the dashboard and wait until it is drawn."""
    page.goto(f"{settings.dashboard_url}/{'' if name == 'now' else name}{query}")
    await_drawn(page)


#: Whether the page is at rest: its script has ended, and nothing of the run before is left, which is faded.
AT_REST = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
    && document.querySelector('[class*=st-key-tile_]') !== null && !document.querySelector('[data-stale=true]')"""


def await_drawn(page: Page) -> None:
    """Wait until the page is drawn, and still is a moment later."""
    for _ in range(2):
        page.wait_for_function(AT_REST)
        page.wait_for_timeout(400)


def rows_of(page: Page, tile: str) -> list[dict[str, str]]:
    """The rows behind a tile: what its CSV has."""
    block = page.locator(f".st-key-tile_{tile}")
    block.get_by_role("button", name="How is this counted").click()
    with page.expect_download() as download:
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="CSV", exact=True).click()
    text = Path(download.value.path()).read_text()
    page.keyboard.press("Escape")
    return list(csv.DictReader(io.StringIO(text)))


def of_text(text: str, wanted: Any) -> Any:
    """A field of a CSV as the type of what it is compared with."""
    if text == "":
        return None
    if isinstance(wanted, bool):
        return text == "True"
    if isinstance(wanted, int | float):
        return float(text)
    if isinstance(wanted, datetime) or (isinstance(wanted, str) and re.match(r"\d{4}-\d\d-\d\d", wanted)):
        return pd.Timestamp(text)
    return text if isinstance(wanted, str) else pd.Timestamp(text)


@pytest.mark.parametrize("name", PAGES)
def test_every_number_is_the_truth_and_nothing_comes_from_elsewhere(
    page: Page, served: Settings, truth: Truth, name: str
) -> None:
    elsewhere: list[str] = []
    failed: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url) if not is_here(r.url, served) else None)
    page.on("websocket", lambda s: elsewhere.append(s.url) if not is_here(s.url, served) else None)
    page.on("response", lambda r: failed.append(r.url) if r.status >= 400 and not r.url.endswith(USUAL_404) else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    open_page(page, served, name)
    seen, wrong = usual(truth), []
    for tile in PAGES[name].all_tiles():
        if tile.name in OF_THE_PLATFORM or not (wanted := EXPECTED[tile.name](seen)):
            continue
        found = rows_of(page, tile.name)
        assert len(found) == len(wanted), tile.name
        wrong += [
            f"{tile.name}: {column} is {text!r}, must be {want[column]!r}"
            for have, want in zip(found, wanted, strict=True)
            for column, text in have.items()
            if not same(of_text(text, want[column]), want[column])
        ]
    assert not wrong, "\n".join(wrong[:10])
    assert elsewhere == []
    assert failed == []
    assert page.evaluate("document.querySelectorAll('[data-testid=stException]').length") == 0


def is_here(url: str, settings: Settings) -> bool:
    """Whether an address is of this dashboard, or of the page itself."""
    own = settings.dashboard_url
    return url.startswith((f"{own}/", own.replace("http", "ws") + "/", "data:", "blob:"))


def test_figures_and_drawings_in_the_page_itself(page: Page, served: Settings, truth: Truth) -> None:
    """What a person reads: the figures as text, and the bars with their values for a screen reader."""
    seen = usual(truth)
    open_page(page, served, "listeners")
    active = [row for row in EXPECTED["actives"](seen) if row["is_complete"]][-1]
    metrics = page.locator(".st-key-tile_actives [data-testid=stMetricValue]")
    names = ("daily_active_users", "active_users_7d", "active_users_30d")
    expect(metrics).to_have_text([f"{active[name]:,}" for name in names], timeout=slowdown.seconds(30_000))
    (funnel,) = EXPECTED["funnel"](seen)
    for step in ("guests", "registrations", "upgrade_viewers_30d", "upgraders_30d"):
        bar = page.locator(f".st-key-tile_funnel [aria-roledescription='bar'][aria-label*='{funnel[step]:,}']")
        expect(bar.first).to_be_attached(timeout=slowdown.seconds(30_000))
    # The clock of the browser is eight hours behind, and the hours are those of the marts.
    open_page(page, served, "now")
    for row in filter(lambda row: row["is_complete"], EXPECTED["hours"](seen)):
        at = f"{datetime.fromisoformat(row['activity_hour']):%Y-%m-%d %H:%M}"
        point = page.locator(f".st-key-tile_hours [aria-label*='value: {row['plays']:,}'][aria-label*='{at}']")
        expect(point.first).to_be_attached(timeout=slowdown.seconds(30_000))


def test_a_tile_saves_its_chart_and_its_table_as_pictures(page: Page, served: Settings) -> None:
    open_page(page, served, "listeners")
    block = page.locator(".st-key-tile_devices")
    block.get_by_role("button", name="How is this counted").click()
    with page.expect_download() as download:
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="PNG", exact=True).click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.keyboard.press("Escape")
    drawing = block.get_by_test_id("stVegaLiteChart")
    drawing.hover()
    with page.expect_download() as chart:
        block.get_by_role("button", name="Download as PNG").click()
    assert Path(chart.value.path()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_anybody_from_reading_it(browser: Browser, served: Settings, name: str, scheme: Any) -> None:
    """axe-core finds nothing serious, and no page is wider than a phone."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    context.set_default_timeout(slowdown.seconds(30_000))
    opened = context.new_page()
    opened.goto(login_address(served.dashboard_url, served.music_secret), wait_until="domcontentloaded")
    open_page(opened, served, name)
    found = Axe().run(opened).response["violations"]
    serious = [
        f"{each['id']}: {node['target']} {node['html'][:160]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]
    assert serious == [], "\n".join(serious)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_an_open_page_is_idle_until_something_is_built_and_then_follows(page: Page, served: Settings) -> None:
    open_page(page, served, "quality")
    page.evaluate("window.stillTheSamePage = true")

    def asked() -> int:
        return statements(served)

    before = asked()
    time.sleep(20)
    assert asked() == before
    with connect(served) as session:
        session.cursor().execute("update OPS.CHECK_RESULTS set passed = false, said = 'broken' "
                                 "where check_name = 'stickiness_is_a_share'")  # fmt: skip
    say_changed(served)
    failed = page.locator(".st-key-tile_checks [data-testid=stMetricValue]").nth(1)
    expect(failed).to_have_text("1", timeout=slowdown.seconds(15_000))
    expect(
        page.get_by_text("The check stickiness_is_a_share of active_users_daily fails: broken").first
    ).to_be_visible()
    with connect(served) as session:
        session.cursor().execute("update OPS.CHECK_RESULTS set passed = true, said = 'passed' "
                                 "where check_name = 'stickiness_is_a_share'")  # fmt: skip
    say_changed(served)
    expect(failed).to_have_text("0", timeout=slowdown.seconds(15_000))
    assert page.evaluate("window.stillTheSamePage") is True


def statements(settings: Settings) -> int:
    """Statements that the warehouse has got from the dashboard."""
    return sum('"dashboard"' in str(said["query_tag"]) for said in latest_statements(settings))


@pytest.mark.timeout(1200)
def test_ten_idle_minutes_with_a_page_open_cost_no_statement(page: Page, served: Settings) -> None:
    open_page(page, served, "now")
    address = f"http://127.0.0.1:{served.warehouse_port}/health"
    with urllib.request.urlopen(address, timeout=slowdown.seconds(10)) as answer:
        before = answer.read()
    time.sleep(600)
    with urllib.request.urlopen(address, timeout=slowdown.seconds(10)) as answer:
        assert answer.read() == before


# --- who may not use it -----------------------------------------------------------------------------------------------


def test_a_stranger_gets_a_sentence_and_a_rebound_name_nothing(browser: Browser, served: Settings) -> None:
    context = new_context(browser)
    stranger = context.new_page()
    response = stranger.goto(served.dashboard_url)
    assert response is not None
    assert response.status == 401
    assert "music-platform dashboard" in stranger.content()
    rebound = stranger.goto(f"http://{REBOUND}:{served.dashboard_port}/")
    assert rebound is not None
    assert rebound.status == 403
    context.close()


@pytest.mark.parametrize(
    "attack",
    [
        """new Promise(done => {{ const socket = new WebSocket('{ws}/_stcore/stream', ['streamlit']);
            socket.onopen = () => done('opened'); socket.onerror = () => done('refused'); }})""",
        """fetch('{url}/_stcore/host-config', {{mode: 'no-cors', credentials: 'include'}})
            .then(r => r.status || 'opaque', () => 'refused')""",
        """new Promise(done => {{ const image = new Image(); image.onload = () => done('loaded');
            image.onerror = () => done('refused'); image.src = '{url}/favicon.png'; }})""",
    ],
)
def test_a_hostile_page_gets_nothing(page: Page, served: Settings, attack: str) -> None:
    site = Hostile("<body>hello</body>")
    try:
        page.goto(site.url, wait_until="load")
        answers: list[int] = []
        own = served.dashboard_url
        page.on("response", lambda r: answers.append(r.status) if r.url.startswith(own) else None)
        result = page.evaluate(attack.format(url=own, ws=own.replace("http", "ws")))
        assert result not in ("opened", "loaded", 200)
        assert all(status == 403 for status in answers), answers
    finally:
        site.close()


# --- the warehouse goes and comes back --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack of its own with a warehouse that a test may stop."""
    home = tmp_path_factory.mktemp("mortal")
    with running_stack(home, frozenset({"warehouse", "dashboard"})) as stack:
        provision_warehouse(stack.settings)
        yield stack


def test_a_page_survives_its_warehouse_without_a_reload(browser: Browser, mortal: LocalStack) -> None:
    context = new_context(browser)
    page = context.new_page()
    settings = mortal.settings
    page.goto(login_address(settings.dashboard_url, settings.music_secret), wait_until="domcontentloaded")
    expect(page.get_by_text("Nothing has been built yet")).to_be_visible(timeout=slowdown.seconds(30_000))
    page.evaluate("window.stillTheSamePage = true")
    mortal._supervisor.stop_service("warehouse")
    say_changed(settings)
    sentence = page.get_by_text("does not answer. This page tries again every few seconds.")
    expect(sentence).to_be_visible(timeout=slowdown.seconds(30_000))
    assert page.locator("[data-testid=stException]").count() == 0
    mortal._supervisor.start_service("warehouse")
    expect(sentence).to_have_count(0, timeout=slowdown.seconds(60_000))
    expect(page.get_by_text("Nothing has been built yet")).to_be_visible(timeout=slowdown.seconds(30_000))
    # Killed, it is back before anybody asks; a session that it no longer knows is replaced.
    mortal.kill("warehouse")
    mortal.await_ready({"warehouse"})
    say_changed(settings)
    page.wait_for_timeout(slowdown.seconds(6_000))
    expect(page.get_by_text("Nothing has been built yet")).to_be_visible(timeout=slowdown.seconds(30_000))
    assert page.evaluate("window.stillTheSamePage") is True
    context.close()
