"""The picture of the lineage graph in README and docs, taken from a running platform by a headless Chromium.

    music-platform up --detach
    eval "$(music-platform env)"
    dagster asset materialize -m music_platform.definitions --select '*'
    python docs/screenshots.py

Take it right after the run: later the checks wait for the next one. It needs Chromium: apt-get install chromium.
"""

import re
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import FloatRect, Page, sync_playwright

from music_platform.settings import Settings, get_settings
from music_platform.web_guard import login_address

PICTURE = Path(__file__).parent / "images" / "lineage.png"
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


def main() -> int:
    """Take the picture."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("There is no Chromium on the PATH. Install it: apt-get install chromium", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses root, which is who containers run as.
        running = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = running.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        PICTURE.write_bytes(lineage(page, get_settings()))
        running.close()
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1e3:,.0f} kB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
