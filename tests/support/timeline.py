"""What happened while the platform ran unattended: samples of backlog, runs and marts' ages, and events."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from music_platform.ingestion.backlog import (
    kafka_age,
    lake_age,
    read_kafka_backlog,
    read_lake_backlog,
    read_marts_backlog,
)
from music_platform.orchestration.assets.marts import tier_keys
from music_platform.orchestration.freshness import LIVE, TIERS, ages, window
from music_platform.orchestration.inputs import built_inputs, current_inputs, recorded_version
from music_platform.orchestration.keys import GOLD
from music_platform.orchestration.runs import IN_FLIGHT
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.topics import BrokerUnreachableError


@dataclass(frozen=True)
class Sample:
    """The state at a moment. `backlog` and `waiting` are records and seconds by stage; None if unknown."""

    at: float
    backlog: tuple[int, int, int] | None
    waiting: tuple[float, float, float] | None
    ages: dict[str, float]
    running: tuple[str, ...]

    @property
    def late(self) -> float:
        """Seconds that the oldest record not yet in RAW has been waiting."""
        return max(self.waiting[:2]) if self.waiting else 0.0


@dataclass(frozen=True)
class Outage:
    """A service was killed, and answered again."""

    service: str
    begin: float
    end: float


@dataclass
class Timeline:
    """Samples and outages, from `begin` on."""

    begin: float = field(default_factory=time.time)
    samples: list[Sample] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    said: list[tuple[float, str]] = field(default_factory=list)
    echo: Callable[[str], None] = print

    def say(self, what: str) -> None:
        """Record an event, and print it."""
        self.said.append((time.time(), what))
        self.echo(f"{self.clock(time.time())}  {what}")

    def clock(self, moment: float) -> str:
        """Minutes and seconds since the beginning."""
        seconds = int(moment - self.begin)
        return f"{seconds // 60:3d}:{seconds % 60:02d}"

    def in_outage(self, moment: float, grace: float) -> bool:
        """Whether a service was down at the moment, or came back less than `grace` seconds before."""
        return any(outage.begin <= moment <= outage.end + grace for outage in self.outages)


def take_sample(stack: LocalStack, instance: dg.DagsterInstance) -> Sample:
    """Ask brokers, lake and Dagster's store, as the sensors do."""
    settings, now = stack.settings, time.time()
    loaded = recorded_version(instance)
    live = built_inputs(instance, LIVE)
    try:
        offsets, kafka = read_kafka_backlog(settings)
        lake = read_lake_backlog(settings, loaded)
        marts = read_marts_backlog(settings, live.raw if live else -1, loaded)
        backlog = (kafka.records, lake.records, marts.records)
        waiting = (
            kafka_age(settings, offsets) if kafka.records else 0.0,
            lake_age(settings, loaded) if lake.records else 0.0,
            marts.seconds,
        )
    except BrokerUnreachableError:
        backlog, waiting = None, None
    found = {tier: max(ages(instance, tier_keys(tier, GOLD), now).values()) for tier in TIERS}
    running = tuple(sorted(run.job_name for run in instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT))))
    return Sample(now, backlog, waiting, found, running)


@contextmanager
def sampling(stack: LocalStack, instance: dg.DagsterInstance, timeline: Timeline, seconds: float) -> Iterator[None]:
    """Take a sample every few seconds while the block runs, and print every `PRINTED`-th."""
    end = threading.Event()

    def sample() -> None:
        while not end.wait(seconds):
            taken = take_sample(stack, instance)
            timeline.samples.append(taken)
            if len(timeline.samples) % PRINTED == 1:
                timeline.echo(f"{timeline.clock(taken.at)}  {describe(taken)}")

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


#: One sample in this many is printed.
PRINTED = 4


def describe(sample: Sample) -> str:
    """One line for the timeline."""
    if sample.backlog is None or sample.waiting is None:
        backlog = "no broker"
    else:
        backlog = " · ".join(f"{n:,} ({s:.0f} s)" for n, s in zip(sample.backlog, sample.waiting, strict=True))
    aged = " · ".join(f"{tier} {age:.0f} s" for tier, age in sample.ages.items())
    return f"backlog {backlog}; oldest mart {aged}; runs: {', '.join(sample.running) or '–'}"


def complete(settings: Settings, instance: dg.DagsterInstance) -> bool:
    """Whether there is no backlog, every tier is built from the current inputs, and no run is in progress."""
    now = current_inputs(instance)
    _, kafka = read_kafka_backlog(settings)
    return (
        not kafka.records
        and not read_lake_backlog(settings, now.raw).records
        and all(built_inputs(instance, tier) == now for tier in TIERS)
        and not instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT), limit=1)
    )


def stale(timeline: Timeline, settings: Settings, grace: float) -> list[str]:
    """Samples in which a mart was older than its window, though no service was down."""
    return [
        f"{timeline.clock(sample.at)}: a {tier} mart is {sample.ages[tier]:.0f} s old"
        for sample in timeline.samples
        for tier in TIERS
        if window(settings, tier) < sample.ages[tier] < float("inf") and not timeline.in_outage(sample.at, grace)
    ]
