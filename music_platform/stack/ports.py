"""Which ports a home's services use, and which process holds a port that is taken.

A port in the environment (or `.env`) wins, then the home's `ports.env`. If neither has it, the project's default home
uses the standard ports, and any other home gets free ones, which `up` stores in `ports.env`.
"""

import hashlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from music_platform.errors import LocalStackError
from music_platform.settings import LOOPBACK, PORT_FIELDS, Settings
from music_platform.sources import PORTS_FILE, read_env

#: Chosen ports are below the ephemeral ranges of Linux (32768) and macOS (49152), which outgoing connections use.
_FIRST, _LAST = 20_000, 29_999


def with_ports(settings: Settings, *, choose: bool = False) -> Settings:
    """The settings with the ports of their home. With `choose`, choose and store free ports if none are set."""
    stored = read_ports(settings.home / PORTS_FILE)
    known = settings.model_fields_set
    ports = {name: port for name, port in stored.items() if name not in known}
    unset = [name for name in PORT_FIELDS if name not in known and name not in ports]
    if choose and unset and not settings.is_default_home:
        taken = {getattr(settings, name) for name in known if name in PORT_FIELDS} | set(ports.values())
        chosen = choose_ports(unset, candidates(settings.home), lambda port: port not in taken and is_free(port))
        settings.home.mkdir(parents=True, exist_ok=True)
        write_ports(settings.home / PORTS_FILE, stored | chosen)
        ports |= chosen
    return settings.model_copy(update=ports)


def choose_ports(names: Iterable[str], ports: Iterator[int], fits: Callable[[int], bool]) -> dict[str, int]:
    """A different port for each name: the first ones that fit."""
    fitting = (port for port in ports if fits(port))
    chosen = dict(zip(names, fitting, strict=False))
    if len(chosen) < len(list(names)):
        raise LocalStackError(f"No free ports between {_FIRST} and {_LAST}. Set {', '.join(names).upper()} yourself.")
    return chosen


def candidates(home: Path) -> Iterator[int]:
    """The ports to try for a home. Each home starts elsewhere, so that homes made at the same time do not collide."""
    span = _LAST - _FIRST + 1
    digest = hashlib.sha256(os.fsencode(home)).digest()
    start = int.from_bytes(digest[:4]) % span
    return (_FIRST + (start + step) % span for step in range(span))


def read_ports(path: Path) -> dict[str, int]:
    """The ports in a `ports.env`; empty if there is no file."""
    found = {name: value.text for name, value in read_env(path).items()}
    return {name: int(found[name]) for name in PORT_FIELDS if found.get(name, "").isdigit()}


def write_ports(path: Path, ports: dict[str, int]) -> None:
    """Write a `ports.env` atomically."""
    lines = [
        "# Ports of this home, chosen by `music-platform up`. To choose again, delete the file while the stack is down."
    ]
    lines += [f"{name.upper()}={ports[name]}" for name in PORT_FIELDS if name in ports]
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text("\n".join(lines) + "\n")
    draft.replace(path)


def is_free(port: int) -> bool:
    """Whether nothing listens on the port, on loopback or on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Connections of a service that just stopped may still be in TIME_WAIT; they do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str | None:
    """The process that listens on the port, as 'name (pid 1: command)'; None if the system does not show it."""
    import psutil

    try:
        listening = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr)
        pid = next((c.pid for c in listening if c.laddr.port == port and c.pid), None)
        if pid is None:
            return None
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}: {' '.join(process.cmdline())[:80]})"
    except psutil.Error:
        return None


def require_free(service: str, port_settings: Iterable[str], settings: Settings) -> None:
    """Raise LocalStackError if another process holds a port of the service."""
    for name in port_settings:
        port = getattr(settings, name)
        if not is_free(port):
            holder = holder_of(port) or "another process (whose name this user cannot see)"
            raise LocalStackError(
                f"Port {port}, which {service} needs, is held by {holder}. "
                f"Stop that process, or choose another port: {name.upper()}=<port> music-platform up"
            )
