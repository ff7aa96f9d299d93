"""The pictures in README and docs, taken from a running platform by a headless Chromium.

    music-platform up --detach
    eval "$(music-platform env)"
    dagster asset materialize -m music_platform.definitions --select '*'
    python docs/screenshots.py              # the lineage graph and the pages of the dashboard
    python docs/screenshots.py dashboard    # the pages alone, for which the warehouse and the dashboard are enough

Take the graph right after the run: later the checks wait for the next one. It needs Chromium: apt-get install chromium.
"""

import io
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from music_dashboard.navigation import all_pages
from music_platform.settings import Settings, get_settings
from music_platform.web_guard import login_address

IMAGES = Path(__file__).parent / "images"
PICTURE = IMAGES / "lineage.png"
#: Widths of the dashboard's pictures: a laptop's and a phone's. Colours of a picture, which keep it small.
WIDTHS, COLOURS = (1440, 390), 128
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: The assets that the picture shows, some of every layer: all of them are too many to read.
SELECTION = (
    'group:kafka or group:lake or (key:"*events" and (group:raw or group:staging or group:silver)) or key:"*listens" '
    'or key:"*page_views" or key:"*hourly_metrics" or key:"*location_metrics_daily" or key:"*top_songs_daily" '
    'or key:"*conversion_funnel_daily"'
)
GROUPS = ("kafka", "lake", "raw", "staging", "silver", "gold")
#: Wide enough for the UI to draw each asset with its state.
WIDTH, HEIGHT = 2400, 1100
#: Space around the graph, in pixels.
MARGIN = 16
TIMEOUT_MS = 60_000
SETTLE_MS = 2_000

#: Folds the UI's left column, before the page's own scripts read what they have stored.
FOLD = "localStorage.setItem('dagster-nav-collapsed', 'true');"
#: A mart that is drawn with its state.
MART = re.compile(r"^conversion_funnel_daily.*Materialized", re.DOTALL)


def lineage(page: Page, settings: Settings) -> bytes:
    """The graph of the selected assets as a PNG. Raises playwright's TimeoutError if it does not appear."""
    page.add_init_script(FOLD)
    page.goto(login_address(settings.dagster_url, settings.music_secret), wait_until="domcontentloaded")
    groups = quote(",".join(f"global@global:{group}" for group in GROUPS))
    address = f"{settings.dagster_url}/asset-groups~{quote(SELECTION, safe='')}/?expanded={groups}"
    page.goto(address, wait_until="domcontentloaded")
    nodes = page.locator("foreignObject")
    nodes.filter(has_text=MART).wait_for(timeout=TIMEOUT_MS)
    # The UI still zooms to the graph.
    page.wait_for_timeout(SETTLE_MS)
    boxes = [box for node in nodes.filter(has_text=re.compile(r"\w")).all() if (box := node.bounding_box())]
    return page.screenshot(clip=around(boxes), timeout=TIMEOUT_MS)


def around(boxes: list[FloatRect]) -> FloatRect:
    """The rectangle that holds all of these, with a margin."""
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    return {
        "x": left - MARGIN,
        "y": top - MARGIN,
        "width": right - left + 2 * MARGIN,
        "height": bottom - top + 2 * MARGIN,
    }


def pages(browser: Browser, settings: Settings) -> dict[Path, bytes]:
    """Each page of the dashboard in each width, in full, as PNGs."""
    found = {}
    for width in WIDTHS:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="light")
        page = context.new_page()
        page.goto(login_address(settings.dashboard_url, settings.music_secret), wait_until="domcontentloaded")
        for each in all_pages():
            page.goto(f"{settings.dashboard_url}/{'' if each.order == 1 else each.name}")
            page.locator("[class*='st-key-tile_'], [data-testid=stAlert]").last.wait_for(timeout=TIMEOUT_MS)
            page.wait_for_timeout(SETTLE_MS)
            height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
            # The page scrolls within itself, so it is seen in full only in a window of its height.
            page.set_viewport_size({"width": width, "height": height + 16})
            page.wait_for_timeout(SETTLE_MS)
            found[IMAGES / f"dashboard-{each.name}-{width}.png"] = small(page.screenshot(timeout=TIMEOUT_MS))
            page.set_viewport_size({"width": width, "height": 900})
        context.close()
    return found


def small(picture: bytes) -> bytes:
    """The PNG with few colours."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main() -> int:
    """Take the pictures."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("There is no Chromium on the PATH. Install it: apt-get install chromium", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses root, which is who containers run as.
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        taken = pages(running, get_settings())
        if sys.argv[1:] != ["dashboard"]:
            page = running.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            taken[PICTURE] = lineage(page, get_settings())
        running.close()
    for file, picture in taken.items():
        file.write_bytes(picture)
        print(f"{file}: {len(picture) / 1e3:,.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
