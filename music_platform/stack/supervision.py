"""Supervisor, which keeps the services up: its configuration, its start and its XML-RPC calls."""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from music_platform.environment import MARKER
from music_platform.errors import LocalStackError
from music_platform.home import Home, require_own_sockets
from music_platform.stack.processes import is_alive
from music_platform.stack.services import Program

#: A service that lives this long counts as started. One that dies earlier is retried after a growing pause.
START_SECONDS = 3

_LOG_BYTES, _LOG_BACKUPS = "10MB", 2


@dataclass(frozen=True)
class ProcessState:
    """Supervisor's view of a service: its state in lower case, its pid and the epoch second of its start."""

    state: str
    pid: int | None
    started: int


def render_conf(home: Home, programs: Iterable[Program], identifier: str = "supervisor") -> str:
    """Supervisord's configuration. No service starts by itself: `up` starts the ones that are wanted."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": home.socket, "chmod": "0700"},
        "supervisord": {
            "logfile": home.log_of("supervisord"),
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": 1,
            "pidfile": home.supervisor_pid,
            "childlogdir": home.logs,
            "directory": home.root,
            "identifier": identifier,
            "umask": "077",
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        },
    }
    for program in programs:
        sections[f"program:{program.name}"] = _program_section(home, program)
    return "\n".join(_render_section(name, values) for name, values in sections.items())


def _program_section(home: Home, program: Program) -> dict[str, object]:
    section: dict[str, object] = {
        # Supervisor's own `environment` cannot hold a quotation mark.
        "command": shlex.join(_command(home, program)),
        "directory": program.directory,
        "priority": program.priority,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": START_SECONDS,
        # The pause before each retry grows by a second. An unattended stack does not give up.
        "startretries": 1000,
        "stopwaitsecs": program.stop_seconds,
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": home.log_of(program.name),
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": _LOG_BACKUPS,
    }
    return section


def _command(home: Home, program: Program) -> list[str]:
    if not program.isolated:
        return ["/usr/bin/env", *_assignments(program.environment), *program.command]
    # By its marker `down` finds a process whose supervisord was killed.
    own = {**program.environment, MARKER: str(home.root)}
    return ["/usr/bin/env", "-i", *_assignments(own), *program.command]


def _assignments(environment: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(environment.items())]


def _render_section(name: str, values: dict[str, object]) -> str:
    # A percent sign starts an expansion in supervisor's configuration.
    return f"[{name}]\n" + "".join(f"{key}={str(value).replace('%', '%%')}\n" for key, value in values.items())


class Supervisor:
    """One home's supervisord."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        try:
            self._call("getState")
        except LocalStackError:
            return False
        return True

    def identifier(self) -> str:
        """Its identifier in the configuration that it was started with."""
        return str(self._call("getIdentification"))

    def pid(self) -> int:
        """Supervisord's process id."""
        return int(self._call("getPID"))

    def start(self, conf: str, environment: dict[str, str]) -> None:
        """Write the configuration and start supervisord, detached from this terminal."""
        self._home.supervisor_conf.write_text(conf)
        arguments = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._home.supervisor_conf)]
        done = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=60, check=False, start_new_session=True
        )
        if done.returncode != 0:
            raise LocalStackError(f"supervisord failed to start: {(done.stderr or done.stdout).strip()[-800:]}")
        deadline = time.monotonic() + 20
        while not self.is_running():
            if time.monotonic() > deadline:
                raise LocalStackError(f"supervisord does not answer. Its log: {self._home.log_of('supervisord')}")
            time.sleep(0.05)

    def update(self, conf: str) -> list[str]:
        """Apply a changed configuration; returns the services that were stopped because theirs changed."""
        if self._home.supervisor_conf.is_file() and self._home.supervisor_conf.read_text() == conf:
            return []
        self._home.supervisor_conf.write_text(conf)
        added, changed, removed = self._call("reloadConfig")[0]
        for name in [*changed, *removed]:
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)
        return list(changed)

    def states(self) -> dict[str, ProcessState]:
        """The state of every configured service; empty if supervisord does not run."""
        try:
            rows = self._call("getAllProcessInfo")
        except LocalStackError:
            return {}
        return {
            row["name"]: ProcessState(str(row["statename"]).lower(), row["pid"] or None, int(row["start"]))
            for row in rows
        }

    def start_service(self, name: str) -> None:
        """Start the service without waiting for it."""
        self._call("startProcess", name, False)

    def stop_service(self, name: str) -> None:
        """Stop the service and wait until it is gone."""
        self._call("stopProcess", name, True)

    def shutdown(self, patience: float) -> None:
        """Stop supervisord and all its services, and wait up to `patience` seconds until it is gone."""
        pid = self.pid()
        # All at once. Supervisord's own shutdown stops one after another, which takes the sum of their times.
        self._call("stopAllProcesses", False)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(
            state.state in ("stopping", "starting", "running") for state in self.states().values()
        ):
            time.sleep(0.1)
        self._call("shutdown")
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _call(self, method: str, *arguments: object) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        require_own_sockets(self._home)
        transport = SupervisorTransport(serverurl=f"unix://{self._home.socket}")
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except Fault as fault:
            raise LocalStackError(f"supervisord refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, HTTPException) as error:
            raise LocalStackError(f"supervisord of {self._home.root} does not answer: {error}") from error
