"""The picture of the lineage graph in README and docs, taken from a running platform by a headless Chromium.

    music-platform up --detach
    dagster asset materialize -m music_platform.definitions --select '*'
    python docs/screenshots.py http://127.0.0.1:3000

The address is the one that `up` prints. Take the picture right after the run: later the checks wait for the next one.
Chromium is driven over a pipe, by its DevTools protocol (https://chromedevtools.github.io/devtools-protocol/): nothing
but the browser itself has to be installed.
"""

import base64
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

PICTURE = Path(__file__).parent / "images" / "lineage.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: The assets that the picture shows, some of every layer: all of them are too many to read.
SELECTION = (
    'group:kafka or group:lake or (key:"*events" and (group:raw or group:staging or group:silver)) or key:"*listens" '
    'or key:"*page_views" or key:"*hourly_metrics" or key:"*location_metrics_daily" or key:"*top_songs_daily" '
    'or key:"*conversion_funnel_daily"'
)
GROUPS = ("kafka", "lake", "raw", "staging", "silver", "gold")
#: Size of the browser's window, and the space that is left around the graph, in pixels.
WINDOW = {"width": 2400, "height": 1100}
MARGIN = 16
TIMEOUT_SECONDS = 60.0
SETTLE_SECONDS = 2.0

#: Folds the left column of the UI, before the page's own scripts read what they have stored.
FOLD = "localStorage.setItem('dagster-nav-collapsed', 'true');"
#: The rectangle around all nodes of the graph; null until the marts are drawn with their state.
EXTENT = """(() => {
  const nodes = [...document.querySelectorAll('foreignObject')];
  const mart = nodes.find(n => n.textContent.startsWith('conversion_funnel_daily'));
  if (!mart || !mart.textContent.includes('Materialized')) return null;
  const boxes = nodes.filter(n => n.textContent.trim()).map(n => n.getBoundingClientRect());
  const left = Math.min(...boxes.map(b => b.left)), top = Math.min(...boxes.map(b => b.top));
  const right = Math.max(...boxes.map(b => b.right)), bottom = Math.max(...boxes.map(b => b.bottom));
  return {x: left, y: top, width: right - left, height: bottom - top};
})()"""


class Page:
    """One page of a browser that is driven over a pipe."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = os.fdopen(commands, "wb", buffering=0), os.fdopen(answers, "rb", buffering=0)
        self._numbers, self._session, self._unread = itertools.count(1), "", b""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result; events in between are dropped. RuntimeError if it fails."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        command |= {"sessionId": self._session} if self._session else {}
        self._commands.write(json.dumps(command).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            piece = self._answers.read(1 << 16)
            if not piece:
                raise RuntimeError("the browser ended")
            self._unread += piece
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")


@contextmanager
def page() -> Iterator[Page]:
    """A page of a new browser, which ends with the block."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RuntimeError("no Chromium on the PATH: install it, for example with apt-get install chromium")
    ours_in, theirs_out = _pipe()
    theirs_in, ours_out = _pipe()
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run"]
        # Chromium's sandbox refuses root, which is who containers run as.
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        # The protocol: commands at descriptor 3, answers at 4.
        shell = ["sh", "-c", f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}', browser, *options]
        process = subprocess.Popen(shell, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            shown = Page(ours_out, ours_in)
            yield shown
        finally:
            shown.call("Browser.close")
            process.wait(timeout=30)


def _pipe() -> tuple[int, int]:
    """A pipe with descriptors from 5 on: 3 and 4 are the browser's, and sh takes a single digit."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 5) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def lineage(shown: Page, url: str) -> bytes:
    """The graph of the selected assets as a PNG. TimeoutError if it does not appear."""
    shown.call("Emulation.setDeviceMetricsOverride", **WINDOW, deviceScaleFactor=1, mobile=False)
    shown.call("Page.enable")
    shown.call("Page.addScriptToEvaluateOnNewDocument", source=FOLD)
    groups = ",".join(f"global@global:{group}" for group in GROUPS)
    shown.call("Page.navigate", url=f"{url}/asset-groups~{quote(SELECTION, safe='')}/?expanded={quote(groups)}")
    extent = _settled(shown, url)
    clip = {
        "x": extent["x"] - MARGIN,
        "y": extent["y"] - MARGIN,
        "width": extent["width"] + 2 * MARGIN,
        "height": extent["height"] + 2 * MARGIN,
        "scale": 1,
    }
    return base64.b64decode(shown.call("Page.captureScreenshot", format="png", clip=clip)["data"])


def _settled(shown: Page, url: str) -> dict[str, float]:
    """The rectangle of the graph, once it stands still: the UI draws it, zooms to it and fills the nodes in."""
    deadline, before = time.monotonic() + TIMEOUT_SECONDS, None
    while time.monotonic() < deadline:
        time.sleep(SETTLE_SECONDS)
        extent: dict[str, float] | None = shown.evaluate(EXTENT)
        if extent is not None and extent == before:
            return extent
        before = extent
    raise TimeoutError(f"{url} shows no materialized marts after {TIMEOUT_SECONDS:.0f} s: is the platform up?")


def main() -> None:
    """Take the picture."""
    if len(sys.argv) != 2:
        raise SystemExit(f"usage: {sys.argv[0]} <address of Dagster's UI>")
    with page() as shown:
        PICTURE.write_bytes(lineage(shown, sys.argv[1].rstrip("/")))
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1e3:,.0f} kB")


if __name__ == "__main__":
    main()
