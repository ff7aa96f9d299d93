"""The lease: one writer at a time, wherever it runs.

A writer puts its claim, a small file, into the lease's folder and then lists the folder. If its claim is the only live
one, it holds the lease. Otherwise it withdraws the claim and retries after a random pause. If two writers claim at
once, the one that lists later sees the other's claim. This works on every store whose listings show earlier writes
(local disks, S3, GCS, Azure) and needs no compare-and-swap.

A claim is dead when its process is gone, which is known at once on the same machine, or when its heartbeat has not
changed for `SILENT_SECONDS` on the observer's clock. Clocks of two machines are never compared.
"""

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import Enum

from music_platform.errors import PlatformError
from music_platform.lake.files import Folder
from music_platform.process_identity import started, this_host

HEARTBEAT_SECONDS = 2.0
#: Seconds without a new heartbeat after which a writer counts as dead or cut off.
SILENT_SECONDS = 20.0
POLL_SECONDS = 0.3


class LeaseError(PlatformError):
    """Another writer holds the lease, or this one lost it."""


@dataclass(frozen=True)
class Claim:
    """Who claims the lease. `beat` counts heartbeats; `spark_session` is the session in which the query runs."""

    name: str
    host: str
    pid: int
    process_started: str
    beat: int = 0
    spark_session: str | None = None

    @property
    def holder(self) -> str:
        """The holder in words."""
        return f"process {self.pid} on {self.host.split('/')[0]}"


class Step(Enum):
    """What a caller does next."""

    HOLD = "hold"
    CLAIM = "claim"
    WITHDRAW = "withdraw"
    WAIT = "wait"


def is_dead(claim: Claim, host: str, alive: bool, unchanged_seconds: float) -> bool:
    """Whether a claim's writer is gone. `alive`: its process runs, which only counts on the claim's host."""
    return not alive if claim.host == host else unchanged_seconds > SILENT_SECONDS


def next_step(own_is_written: bool, others_alive: int) -> Step:
    """The protocol: claim if nobody else is alive, hold if alone after claiming, else withdraw."""
    if own_is_written:
        return Step.WITHDRAW if others_alive else Step.HOLD
    return Step.WAIT if others_alive else Step.CLAIM


class Lease:
    """A lease that is held. `dead` are the claims of writers that died holding it, oldest first."""

    def __init__(self, folder: Folder, claim: Claim, dead: list[Claim]) -> None:
        self.dead = dead
        self._folder, self._claim = folder, claim
        self._lock, self._end = threading.Lock(), threading.Event()
        self._lost: str | None = None
        #: Claims that others put there at the last heartbeat.
        self._others: set[str] = set()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def note_spark_session(self, session_id: str) -> None:
        """Record the Spark session of this writer's queries, so that a successor can end them."""
        with self._lock:
            self._claim = replace(self._claim, spark_session=session_id)
            self._write()

    def remove_dead_claims(self) -> None:
        """Remove the dead claims, after their leftovers have been cleaned up."""
        for claim in self.dead:
            self._folder.remove(claim.name)
        self.dead = []

    def check(self) -> None:
        """Raise LeaseError if the lease was lost: another writer considered this one dead."""
        if self._lost:
            raise LeaseError(f"{self._lost}. This run stops. Nothing is lost: the other writer resumes after it.")

    def release(self) -> None:
        """Release the lease."""
        self._end.set()
        self._thread.join()
        self._folder.remove(self._claim.name)

    def _write(self) -> None:
        self._folder.write(self._claim.name, json.dumps(asdict(self._claim)).encode())

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            with self._lock:
                try:
                    if self._claim.name not in self._folder.names():
                        self._lost = "The lease was taken over: this process had been silent for too long"
                        return
                    self._claim = replace(self._claim, beat=self._claim.beat + 1)
                    self._write()
                    # A process that was paused between the two has put its removed claim back, beside the new holder's.
                    # One that claims at the same moment withdraws at once.
                    others = _claim_names(self._folder) - {self._claim.name, *(claim.name for claim in self.dead)}
                    if others & self._others:
                        self._lost = "The lease was taken over while this process was paused"
                        self._folder.remove(self._claim.name)
                        return
                    self._others = others
                except OSError:
                    # A short outage of the store is retried; after a long one, others may take over the lease.
                    continue


def is_held_here(url: str) -> bool:
    """Whether a living process of this host holds the lease of the folder `url`."""
    host = str(this_host())
    claims = _claims(Folder.at(url)).values()
    return any(claim.host == host and started(claim.pid) == claim.process_started for claim in claims)


@contextmanager
def held_lease(url: str, wait_seconds: float, log: Callable[[str], None] = lambda _: None) -> Iterator[Lease]:
    """Hold the lease of the folder `url`, after waiting at most `wait_seconds` for it. Raises LeaseError."""
    lease = _acquire(Folder.at(url), wait_seconds, log)
    try:
        yield lease
    finally:
        lease.release()


def _acquire(folder: Folder, wait_seconds: float, log: Callable[[str], None]) -> Lease:
    own = Claim(f"{uuid.uuid4().hex}.json", str(this_host()), os.getpid(), started(os.getpid()) or "")
    watched: dict[str, tuple[int, float]] = {}
    deadline, reported, written = time.monotonic() + wait_seconds, False, False
    while True:
        claims = {name: claim for name, claim in _claims(folder).items() if name != own.name}
        dead = [claim for claim in claims.values() if _dead(claim, own.host, watched)]
        living = [claim for claim in claims.values() if claim not in dead]
        match next_step(written, len(living)):
            case Step.HOLD:
                return Lease(folder, own, dead)
            case Step.CLAIM:
                folder.write(own.name, json.dumps(asdict(own)).encode())
                written = True
                continue
            case Step.WITHDRAW:
                folder.remove(own.name)
                written = False
            case Step.WAIT:
                if not reported:
                    log(f"waiting for {living[0].holder}, which is writing the lake")
                    reported = True
        if time.monotonic() > deadline:
            raise LeaseError(
                f"{living[0].holder} has been writing the lake for more than {wait_seconds:.0f} s. Wait for it, or end "
                "that process, which frees the lease. LEASE_WAIT_SECONDS sets how long a run waits."
            )
        time.sleep(POLL_SECONDS * random.uniform(0.5, 1.5))


def _claim_names(folder: Folder) -> set[str]:
    return {name for name in folder.names() if name.endswith(".json") and not name.startswith(".")}


def _claims(folder: Folder) -> Mapping[str, Claim]:
    found: dict[str, Claim] = {}
    for name in _claim_names(folder):
        # A claim may have been withdrawn after the listing.
        with suppress(FileNotFoundError):
            found[name] = Claim(**json.loads(folder.read(name)))
    return found


def _dead(claim: Claim, host: str, watched: dict[str, tuple[int, float]]) -> bool:
    now = time.monotonic()
    if claim.name not in watched or watched[claim.name][0] != claim.beat:
        watched[claim.name] = (claim.beat, now)
    own_process = claim.pid == os.getpid() and claim.host == host
    alive = own_process or started(claim.pid) == claim.process_started
    return is_dead(claim, host, alive, now - watched[claim.name][1])
