"""The dashboard in a browser: seconds of a first page and of an interaction, statements of an idle page, and how long a
new event takes to be on the page Now.

    python -m benchmarks.dashboard [--events 10000000] [--repeats 20] [--idle 600]
    python -m benchmarks.dashboard --live 600 [--rate 2000]

The first makes a warehouse of its own with that many events. A first page is one of a browser that has just been
opened, on results that the dashboard has kept; the very first page after a start, for which every tile is asked, is
shown too. An interaction is a click on a filter or another page until the page is at rest.

The second needs a platform that is up and idle (its settings are those of this shell): it sends listens and compares
the plays that the page shows with the end offsets of the topic, so each play that appears has the time at which the
broker got its record.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice, pairwise

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.marts import Warehouse, warehouse
from music_platform.environment import settings_environment, venv_bin
from music_platform.settings import Settings, get_settings
from music_platform.stack import readiness, services
from music_platform.topics import topic_names, topic_offsets
from music_platform.web_guard import login_address

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECRET = "benchmark"
#: What a person clicks on, by turns: pages in the side bar.
CLICKS = ("Charts", "Listeners", "Money", "Now")
TIMEOUT_MS = 120_000


def p95(seconds: Sequence[float]) -> float:
    """The 95th percentile: of 20, the second largest is below it."""
    return statistics.quantiles(seconds, n=20, method="inclusive")[-1]


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@contextmanager
def dashboard(settings: Settings) -> Iterator[None]:
    """The dashboard's process over these settings."""
    environment = {**os.environ, **settings_environment(settings, secrets=True)}
    process = subprocess.Popen([sys.executable, "-m", "music_platform.dashboard"], env=environment)
    try:
        while readiness.lacks(services.DASHBOARD, settings) is not None:
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def new_page(running: Browser, settings: Settings) -> Page:
    """A page of a browser that has just been opened and is logged in."""
    context = running.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    # The guard answers this one itself.
    page.request.get(login_address(settings.dashboard_url, settings.music_secret), max_redirects=0)
    return page


def await_rest(page: Page, title: str) -> None:
    """Wait until the page with this title has its last tile and the script has ended."""
    page.wait_for_function(
        """title => document.querySelector('h1')?.innerText === title
            && document.querySelectorAll('[class*=st-key-tile_]').length > 0
            && document.querySelector('[data-test-script-state]')?.dataset.testScriptState !== 'running'
            && !document.querySelector('[data-stale=true]')""",
        arg=title,
        polling=20,
    )


def timed(act: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.monotonic()
    act()
    return time.monotonic() - started


def measure(running: Warehouse, repeats: int, idle: float) -> None:
    """Print the seconds and the statements."""
    settings = running.settings.model_copy(update={"music_secret": SECRET, "dashboard_port": free_port()})
    with dashboard(settings), browser() as chromium:

        def first() -> Page:
            page = new_page(chromium, settings)
            page.goto(settings.dashboard_url)
            await_rest(page, "Now")
            return page

        print(f"| the very first page, every tile asked | {timed(first):.2f} s |")
        pages = []
        for _ in range(repeats):
            pages.append(timed(lambda: first().context.close()))
        print(f"| first page, {repeats} times | median {statistics.median(pages):.2f} s, p95 {p95(pages):.2f} s |")
        page, clicks, cold = first(), [], []
        for title in CLICKS:
            cold.append(timed(partial(click, page, title)))
        for title in islice(cycle(CLICKS), repeats):
            clicks.append(timed(partial(click, page, title)))
        print(f"| a page that nobody has opened yet | {', '.join(f'{s:.2f}' for s in cold)} s |")
        print(f"| interaction, {repeats} times | median {statistics.median(clicks):.2f} s, p95 {p95(clicks):.2f} s |")
        filters = [timed(partial(choose, page, level)) for level in ("free", "paid", "All") * 2]
        print(f"| filter by level, each time new | {', '.join(f'{s:.2f}' for s in filters[:3])} s |")
        print(f"| filter by level, seen before | {', '.join(f'{s:.2f}' for s in filters[3:])} s |")
        before = running.statements()
        time.sleep(idle)
        print(f"| statements in {idle:,.0f} idle seconds with a page open | {running.statements() - before} |")


def click(page: Page, title: str) -> None:
    """Go to another page by the side bar."""
    page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
    await_rest(page, title)


def choose(page: Page, level: str) -> None:
    """Choose a level on the page Now."""
    page.locator(".st-key-filter_level").get_by_role("combobox").click()
    page.get_by_role("option", name=level, exact=True).click()
    page.wait_for_timeout(50)
    await_rest(page, "Now")


def free_port() -> int:
    """A port that nobody uses."""
    from socket import socket

    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def live(seconds: float, rate: int) -> None:
    """Send events to the platform of this shell's settings and print how long plays take to be on the page."""
    settings = get_settings()
    listens = topic_names(settings)["listen"]

    def offset() -> int:
        return topic_offsets(settings.kafka_client_config(), [listens]).records()

    command = [str(venv_bin() / "music-platform"), "simulate", "--rate", str(rate), "--users", "50000"]
    with browser() as chromium:
        page = new_page(chromium, settings)
        page.goto(settings.dashboard_url)
        sender = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            produced: list[tuple[int, float]] = []
            shown: list[tuple[int, float]] = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                now = time.monotonic()
                produced.append((offset(), now))
                if (plays := plays_of(page)) is not None and (not shown or plays != shown[-1][0]):
                    shown.append((plays, now))
                time.sleep(0.25)
        finally:
            sender.terminate()
            sender.wait(60)
    taken = latencies(produced, shown)
    print(f"| plays that appeared | {len(taken):,} |")
    print(f"| seconds from the broker to the page | median {statistics.median(taken):.1f}, p95 {p95(taken):.1f} |")


def plays_of(page: Page) -> int | None:
    """The plays of the date that the page shows."""
    found = page.locator(".st-key-tile_places [data-testid=stMetricValue]").first
    text = found.inner_text().strip() if found.count() else ""
    return int(text.replace(",", "")) if text.replace(",", "").isdigit() else None


def latencies(produced: Sequence[tuple[int, float]], shown: Sequence[tuple[int, float]]) -> list[float]:
    """Seconds of each play from the broker to the page. `produced`: end offsets over time; `shown`: plays over time.

    The first sight of the page is of what was there when the first offset was read: a platform at rest.
    """
    if not produced or len(shown) < 2:
        return []
    ends = [end for end, _ in produced]
    base = produced[0][0] - shown[0][0]
    found = []
    for (before, _), (plays, at) in pairwise(shown):
        for number in range(before + 1, plays + 1):
            place = bisect_left(ends, number + base)
            if place < len(produced):
                found.append(at - produced[place][1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--idle", type=float, default=600)
    parser.add_argument("--live", type=float, default=0)
    parser.add_argument("--rate", type=int, default=2000)
    wanted = parser.parse_args()
    if wanted.live:
        live(wanted.live, wanted.rate)
        return
    with warehouse() as running:
        running.lake.append_history(wanted.events)
        running.load()
        running.dbt("seed")
        running.dbt("run")
        print(f"| {wanted.events:,} events | |\n|---|---|")
        measure(running, wanted.repeats, wanted.idle)


if __name__ == "__main__":
    main()
