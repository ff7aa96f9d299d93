"""What a run shows while it is running and prints when it ends."""

import sys
import time
from collections import deque
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.table import Table

from music_simulator.options import Options
from music_simulator.run import Progress

#: Seconds over which the rate is measured, and between two lines if the output is not a terminal.
RATE_SECONDS, LINE_SECONDS = 5.0, 15.0


class Display:
    """A live table at the bottom of a terminal, or a line now and then where there is no terminal."""

    def __init__(self, options: Options, where: str, paced: bool) -> None:
        self._options, self._where, self._paced = options, where, paced
        self._console = Console(stderr=True)
        self._seen: deque[tuple[float, int]] = deque()
        self._line_at = time.monotonic()
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Update the display."""
        rate = self._rate(progress)
        if self._live:
            self._live.update(self._table(progress, rate))
        elif progress.seconds and time.monotonic() - self._line_at >= LINE_SECONDS:
            self._line_at = time.monotonic()
            print(self._line(progress, rate), file=sys.stderr, flush=True)

    def _rate(self, progress: Progress) -> float:
        now = time.monotonic()
        self._seen.append((now, progress.total))
        while self._seen[0][0] < now - RATE_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (progress.total - before) / (now - then) if now > then else 0.0

    def _table(self, progress: Progress, rate: float) -> Table:
        table = Table(title=f"simulate → {self._where}", title_justify="left", show_header=False, box=None)
        now = self._options.start + timedelta(seconds=progress.second)
        table.add_row("simulated time", f"{now:%Y-%m-%d %H:%M:%S} UTC")
        table.add_row("records", f"{progress.total:,}")
        for kind, count in progress.delivered.items():
            table.add_row(f"  {kind}", f"{count:,}")
        table.add_row("rate", f"{rate:,.0f} records/s")
        if self._paced:
            table.add_row("behind schedule", f"{progress.behind_seconds:.2f} s")
        if progress.trouble:
            table.add_row("[yellow]retrying[/]", f"[yellow]{progress.trouble}[/]")
        return table

    def _line(self, progress: Progress, rate: float) -> str:
        at = self._options.start + timedelta(seconds=progress.second)
        behind = f", {progress.behind_seconds:.2f} s behind schedule" if self._paced else ""
        trouble = f"; {progress.trouble}" if progress.trouble else ""
        return f"{at:%Y-%m-%d %H:%M} UTC: {progress.total:,} records, {rate:,.0f}/s{behind}{trouble}"


def summary(progress: Progress, where: str) -> str:
    """Summary of a finished run, in one paragraph."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in progress.delivered.items())
    speed = progress.total / progress.seconds if progress.seconds else 0.0
    ended = "stopped after" if progress.stopped else "delivered"
    lost = f"\n{progress.lost:,} records did NOT arrive and are not in the truth" if progress.lost else ""
    return f"{ended} {progress.total:,} records to {where} in {progress.seconds:.1f} s ({speed:,.0f}/s): {kinds}{lost}"
