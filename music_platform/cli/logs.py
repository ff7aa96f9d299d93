"""`music-platform logs`: the end of the services' logs, and what is added to them."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.text import Text

from music_platform.cli.stack import complete_service
from music_platform.cli.terminal import console, current_settings
from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.stack import services

POLL_SECONDS = 0.5
#: Bytes at the end of a log in which its last lines are looked for.
TAIL_BYTES = 1 << 20
#: Colours of the services' names, in the order of the services.
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")


def logs(
    service: Annotated[str, typer.Argument(help="The service; all if left out.", autocompletion=complete_service)] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what is added, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each log to print.")] = 20,
) -> None:
    """Print the end of the services' logs; -f follows them.

    The logs are files too: <home>/logs/<service>.log, rotated at 10 MB.
    """
    settings = current_settings()
    home = Home(settings.home)
    names = services.named_services({service}) if service else set(services.SERVICES)
    chosen = [Log(name, home.log_of(name)) for name in services.services_of(settings) if name in names]
    if not follow and not any(log.path.is_file() for log in chosen):
        raise PlatformError(f"There is no log of {service or 'any service'} in {home.logs}: it was never started.")
    width = max(len(log.name) for log in chosen) if len(chosen) > 1 else 0
    for log in chosen:
        _print(log, log.last(lines), width)
    while follow:
        for log in chosen:
            _print(log, log.added(), width)
        time.sleep(POLL_SECONDS)


class Log:
    """A log that grows, and is renamed and begun again when it is full."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._file: BinaryIO | None = None
        self._rest = b""

    def last(self, count: int) -> list[str]:
        """The last lines; from here on `added` gives what comes after them."""
        self._open()
        if self._file is None:
            return []
        self._file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
        lines = [*self._read(), *self._unfinished()]
        return lines[-count:] if count else []

    def added(self) -> list[str]:
        """The whole lines that were added since."""
        lines = self._read()
        if self._was_rotated():
            lines += self._unfinished()
            self._open()
            lines += self._read()
        return lines

    def _open(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self.path.open("rb") if self.path.is_file() else None

    def _was_rotated(self) -> bool:
        """Whether the path is another file by now, or a shorter one."""
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        return now.st_ino != os.fstat(self._file.fileno()).st_ino or now.st_size < self._file.tell()

    def _read(self) -> list[str]:
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def _unfinished(self) -> list[str]:
        """The beginning of a line whose end is not written."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []


def _print(log: Log, lines: Iterable[str], width: int) -> None:
    colour = COLOURS[services.SERVICES.index(log.name) % len(COLOURS)]
    for line in lines:
        text = Text.from_ansi(line)
        if width:
            text = Text.assemble((f"{log.name:<{width}} │ ", colour), text)
        console.print(text, soft_wrap=True, highlight=False)
