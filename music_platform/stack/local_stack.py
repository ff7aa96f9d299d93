"""The local stack of one home: brought up, asked for its state, taken down.

stack = LocalStack(load_settings())
stack.up()            # returns when every service answers
stack.settings        # the settings with the home's ports
stack.down()          # nothing is left behind
"""

import fcntl
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from music_platform.environment import inherited_environment
from music_platform.errors import LocalStackError
from music_platform.home import Home, make_socket_folder
from music_platform.settings import Settings
from music_platform.stack import executors, format, processes, services
from music_platform.stack.findings import Verdict
from music_platform.stack.jars import ensure_jars
from music_platform.stack.java import Java, find_java
from music_platform.stack.ports import require_free, with_ports
from music_platform.stack.readiness import lacks
from music_platform.stack.secret import fingerprint, with_secret
from music_platform.stack.startup import Wait, Work
from music_platform.stack.supervision import ProcessState, Supervisor, render_conf

if TYPE_CHECKING:
    from rich.console import Console

#: Called with a service's name and what happened to it.
Report = Callable[[str, str], None]

#: Creates what the services have to hold, with the settings of the running home.
Provision = Callable[[Settings], object]

#: Tries after which `up` gives up on a service that keeps dying.
START_TRIES = 2
STOP_TIMEOUT = 40
POLL_SECONDS = 0.2
#: Pause between two looks at what a service that does not answer yet is doing; a look costs as much as some polls.
LOOK_SECONDS = 5.0
LOG_LINES = 20

_UP_STATES = ("running", "starting")


@dataclass(frozen=True)
class ServiceStatus:
    """A service as `status` shows it. `memory` is the resident size of its whole process tree in bytes."""

    state: str
    pid: int | None
    address: str | None
    memory: int


class Standing(IntEnum):
    """How the stack as a whole is; the exit code of `status`."""

    RUNNING = 0
    BROKEN = 1
    STOPPED = 3


def standing(status: Mapping[str, ServiceStatus]) -> Standing:
    """STOPPED where no service of this home runs; BROKEN where one that was started does not; else RUNNING.

    A service that is stopped while others run was not asked for, as with `up --only`.
    """
    states = {service.state for service in status.values()} - {"external", "stopped"}
    if not states:
        return Standing.STOPPED
    return Standing.RUNNING if states == {"running"} else Standing.BROKEN


def silent(_service: str, _what: str) -> None:
    """A report that nobody reads."""


def last_lines(log: bytes, since: int, count: int = LOG_LINES) -> list[str]:
    """The last lines of a log without colours: those after byte `since`, unless the log was rotated meanwhile."""
    part = log[since:] if since <= len(log) else log
    return re.sub(r"\x1b\[[0-9;]*m", "", part.decode(errors="replace")).splitlines()[-count:]


class LocalStack:
    """The services of the settings' home. Every method may be called at any time, from any process."""

    def __init__(self, settings: Settings, report: Report = silent, console: "Console | None" = None) -> None:
        self.settings = with_secret(with_ports(settings))
        self.home = Home(settings.home)
        self._report = report
        self._console = console
        self._supervisor = Supervisor(self.home)
        self._log_sizes: dict[str, int] = {}

    def up(self, only: set[str] | None = None, provision: Provision | None = None) -> tuple[str, ...]:
        """Start the services (all local ones, or those of `only`) and wait until they answer.

        `provision` is called when the data services and the code server answer, before what looks for topics or for
        the code starts. Returns the names of the services that were started; empty if all ran already, or if all of
        `only` run elsewhere, where `provision` is all there is to do. Raises LocalStackError with the end of the log
        when one does not come up; what this call started is then stopped again.
        """
        with self._locked():
            format.require_known(self.home)
            make_socket_folder(self.home)
            self.settings = with_secret(with_ports(self.settings, choose=True), make=True)
            wanted = services.select_services(self.settings, only)
            if not wanted:
                if provision is not None:
                    provision(self.settings)
                return ()
            services.require_installed(wanted)
            configured = tuple(
                name
                for name in services.local_services(self.settings)
                if name in wanted or name in self._supervisor.states()
            )
            java = self._find_java(configured)
            ensure_jars(self.settings, services.jar_sets(self.settings, wanted), self._console)
            self._end_leftovers()
            running = {name for name, process in self._supervisor.states().items() if process.state in _UP_STATES}
            starting = tuple(name for name in wanted if name not in running)
            for name in starting:
                require_free(name, services.PORT_SETTINGS[name], self.settings)
            services.prepare(self.settings, java, starting)
            format.note(self.home)
            starting = self._configure(java, configured, starting)
            try:
                for group in (services.FIRST, services.SECOND):
                    self._start(tuple(name for name in wanted if name in group), starting)
                self._warm_executors(starting)
                if provision is not None:
                    provision(self.settings)
                for group in (services.THIRD, services.LAST):
                    self._start(tuple(name for name in wanted if name in group), starting)
            except BaseException:
                self._stop(starting)
                raise
            return starting

    def program(self, name: str) -> services.Program:
        """One service's program, with its folders and configuration made, for who runs it without supervisor.

        Raises LocalStackError if the service is elsewhere, or needs what is not there.
        """
        if name not in services.local_services(self.settings):
            raise LocalStackError(
                f"{name} is not a service of this platform: it is elsewhere, or there is no such service. There are: "
                f"{', '.join(services.local_services(self.settings))}"
            )
        with self._locked():
            format.require_known(self.home)
            make_socket_folder(self.home)
            self.settings = with_secret(with_ports(self.settings, choose=True), make=True)
            services.require_installed((name,))
            java = self._find_java((name,))
            ensure_jars(self.settings, services.jar_sets(self.settings, (name,)), self._console)
            services.prepare(self.settings, java, (name,))
            format.note(self.home)
            return services.programs(self.settings, java, (name,))[0]

    def down(self) -> list[str]:
        """Stop everything of this home and end what remains. Returns what was ended, empty if nothing ran."""
        if not self.home.root.is_dir():
            return []
        with self._locked():
            stopped = []
            if self._supervisor.is_running():
                stopped = [name for name, process in self._supervisor.states().items() if process.pid]
                self._supervisor.shutdown(STOP_TIMEOUT)
            leftovers = processes.end(processes.processes_of_home(self.home.root))
            self.home.socket.unlink(missing_ok=True)
            self.home.code_socket.unlink(missing_ok=True)
            self.home.supervisor_pid.unlink(missing_ok=True)
            return [*stopped, *(f"leftover {name}" for name in leftovers)]

    def restart(self, only: set[str] | None = None) -> tuple[str, ...]:
        """Stop the services that were started (all, or those of `only`), and start them with the settings of now.

        Returns their names. Raises LocalStackError if none of them was started.
        """
        wanted = services.select_services(self.settings, only)
        with self._locked() if self.home.root.is_dir() else nullcontext():
            states = self._supervisor.states()
            started = [name for name in wanted if name in states and states[name].state != "stopped"]
            for name in reversed(started):
                if states[name].state in (*_UP_STATES, "backoff"):
                    self._supervisor.stop_service(name)
                    self._report(name, "stopped")
        if not started:
            named = ", ".join(sorted(only)) if only else "the stack"
            raise LocalStackError(
                f"There is nothing to restart: {named} of {self.home.root} was not started here. To start it: "
                "music-platform up"
            )
        return self.up(set(started))

    def status(self) -> dict[str, ServiceStatus]:
        """Every service by name: running, starting, backoff, stopped … as supervisor says it, or external."""
        states = self._supervisor.states()
        local = services.local_services(self.settings)
        return {
            name: self._status_of(name, name in local, states.get(name)) for name in services.services_of(self.settings)
        }

    def is_running(self) -> bool:
        """Whether a supervisord of this home answers."""
        return self._supervisor.is_running()

    def kill(self, service: str) -> int:
        """SIGKILL a service, as a crash would; supervisor starts it again. Returns the pid that was killed."""
        process = self._supervisor.states().get(service)
        if process is None or process.pid is None:
            raise LocalStackError(f"{service} of {self.home.root} does not run, so it cannot be killed.")
        os.kill(process.pid, signal.SIGKILL)
        return process.pid

    def await_ready(self, only: set[str] | None = None) -> None:
        """Wait until the services answer (again), as after `kill`. Raises LocalStackError if one does not."""
        self._await(services.select_services(self.settings, only))

    def lacks(self, service: str) -> str | None:
        """What keeps the service from work; None if it answers as it should."""
        process = self._supervisor.states().get(service)
        return lacks(service, self.settings, process.started if process else 0)

    def _find_java(self, wanted: tuple[str, ...]) -> Java | None:
        return find_java(self.settings) if any(name in services.ON_JAVA for name in wanted) else None

    def _configure(self, java: Java | None, configured: tuple[str, ...], starting: tuple[str, ...]) -> tuple[str, ...]:
        """Give supervisord its configuration; returns what is to be started, with what a change has stopped."""
        mark = fingerprint(self.settings)
        conf = render_conf(self.home, services.programs(self.settings, java, configured), mark)
        if self._supervisor.is_running() and self._supervisor.identifier() != mark:
            # Services inherit secrets from supervisord, and it has those of its own start.
            ran = tuple(n for n, process in self._supervisor.states().items() if process.state in _UP_STATES)
            self._report("supervisor", "a secret changed: restarting everything")
            self._supervisor.shutdown(STOP_TIMEOUT)
            services.prepare(self.settings, java, ran)
            starting = (*starting, *(name for name in ran if name not in starting))
        if not self._supervisor.is_running():
            self._supervisor.start(conf, inherited_environment(self.settings))
            return starting
        before = {name for name, process in self._supervisor.states().items() if process.state in _UP_STATES}
        changed = [name for name in self._supervisor.update(conf) if name in before]
        for name in changed:
            self._report(name, "settings or code changed: restarting")
        services.prepare(self.settings, java, tuple(changed))
        return (*starting, *(name for name in changed if name not in starting))

    def _start(self, wanted: tuple[str, ...], starting: tuple[str, ...]) -> None:
        """Start those of `wanted` that are to be started, and wait until all of `wanted` answer."""
        for name in wanted:
            if name in starting:
                log = self.home.log_of(name)
                self._log_sizes[name] = log.stat().st_size if log.is_file() else 0
                self._supervisor.start_service(name)
        self._await(wanted, starting)

    def _warm_executors(self, starting: tuple[str, ...]) -> None:
        """Run the first task on each executor of the cluster, which takes a while, and see that each has all it needs.

        Raises LocalStackError if one lacks something.
        """
        if not self.settings.spark_is_standalone or services.SPARK_CONNECT not in starting:
            return
        begun = time.monotonic()
        found = executors.examine(self.settings)
        if wrong := [finding.found for finding in found if finding.verdict is Verdict.BAD]:
            raise LocalStackError(f"Spark's executors cannot run the job: {'; '.join(wrong)}")
        self._report("executors", f"{len(found)} ready after {time.monotonic() - begun:.1f} s")

    def _await(self, wanted: tuple[str, ...], starting: tuple[str, ...] = ()) -> None:
        """Ask each service until it answers, or until it has died too often or makes no progress."""
        begun = looked = time.monotonic()
        waits = {name: Wait(begun) for name in wanted}
        while waits:
            states = self._supervisor.states()
            look = time.monotonic() - looked > LOOK_SECONDS
            for name, wait in tuple(waits.items()):
                process = states.get(name, ProcessState("unknown", None, 0))
                complaint = self._complaint(name, process)
                now = time.monotonic()
                if complaint is None:
                    self._report(name, f"ready after {now - begun:.1f} s" if name in starting else "runs already")
                    del waits[name]
                    continue
                wait.pids |= {process.pid} if process.pid else set()
                if look:
                    wait.note(now, self._work_of(name, process.pid))
                if len(wait.pids) > START_TRIES or wait.is_over(now):
                    raise LocalStackError(self._failure(name, complaint, len(wait.pids), now - begun))
            if look:
                looked = time.monotonic()
            if waits:
                time.sleep(POLL_SECONDS)

    def _complaint(self, name: str, process: ProcessState) -> str | None:
        """What a service that is to come up lacks; None if it is there."""
        if process.state not in _UP_STATES:
            return process.state
        complaint = lacks(name, self.settings, process.started)
        return complaint or (None if process.state == "running" else "has to stay up for some seconds")

    def _work_of(self, name: str, pid: int | None) -> Work:
        log = self.home.log_of(name)
        return Work(processes.cpu_seconds_of(pid) if pid else 0.0, log.stat().st_size if log.is_file() else 0)

    def _failure(self, name: str, complaint: str, tries: int, waited: float) -> str:
        log = self.home.log_of(name)
        lines = last_lines(log.read_bytes(), since=self._log_sizes.get(name, 0)) if log.is_file() else []
        end = "\n".join(f"    {line}" for line in lines) or "    (nothing since this start)"
        return (
            f"{name} does not come up: {complaint} (processes tried: {tries}, waited for {waited:.0f} s).\n"
            f"The end of {log}:\n{end}"
        )

    def _stop(self, names: tuple[str, ...]) -> None:
        """Stop what a failed `up` had started, and supervisord too if it has nothing left to do."""
        states = self._supervisor.states()
        for name in names:
            if name in states and states[name].state in (*_UP_STATES, "backoff"):
                self._supervisor.stop_service(name)
        if not any(process.pid for process in self._supervisor.states().values()) and self._supervisor.is_running():
            self._supervisor.shutdown(STOP_TIMEOUT)

    def _end_leftovers(self) -> None:
        """End services whose supervisord was killed: they would hold the ports."""
        if self._supervisor.is_running():
            return
        for name in processes.end(processes.processes_of_home(self.home.root), patience=20):
            self._report("leftover", f"{name} of a stack that died: stopped")

    def _status_of(self, name: str, local: bool, process: ProcessState | None) -> ServiceStatus:
        address = services.address_of(name, self.settings)
        if not local:
            return ServiceStatus("external", None, address, 0)
        if process is None:
            return ServiceStatus("stopped", None, address, 0)
        memory = processes.memory_of(process.pid) if process.pid else 0
        return ServiceStatus(process.state, process.pid, address, memory)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one `up` or `down` at a time changes a home. What they write is for this user only."""
        before = os.umask(0o077)
        try:
            self.home.root.mkdir(parents=True, exist_ok=True)
            self.home.root.chmod(0o700)
            with self.home.lock.open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._report("waiting", "for another `up` or `down` of this home")
                    fcntl.flock(file, fcntl.LOCK_EX)
                yield
        finally:
            os.umask(before)
