"""What happens to the platform in a soak: kills, stops, steps of the clock, restarts, and a receiver that is away."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import libfaketime
import psutil
from confluent_kafka import Producer

from music_platform.environment import settings_environment, variables_set, venv_bin
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.processes import tree_of
from music_platform.stack.provision import provision
from music_platform.topics import topic_names
from music_platform.warehouse.connection import connect
from tests.support import slowdown
from tests.support.receiver import Received
from tests.support.stack import kill_tree
from tests.support.timeline import Outage, Timeline

#: Seconds for which a service hangs: longer than the watch, and every client's patience, need to notice it.
HANGS = 60.0
#: Seconds by which the clock is set back, and for how long.
STEP, STEPPED = 300.0, 120.0
#: A topic of another producer, which comes and goes, and its shape.
TOPIC, SHAPE = "partner_plays", "playback"
RECORDS = 200


class Clock:
    """The clock of all processes of a stack, which a file sets back."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "clock"
        self.set(0)

    def set(self, seconds: float) -> None:
        """Let the clock be so many seconds away from the machine's."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+.0f}s\n")
        draft.replace(self._file)

    def variables(self) -> dict[str, str]:
        """The environment of the processes that have this clock. Time that only ever grows stays the machine's."""
        library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Once a second, not at every look: a JVM looks some 10,000 times a second.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # As found out for another glibc, libfaketime lets each timed wait of a JVM return at once: it would spin.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }


@dataclass
class Scene:
    """A platform under load, with what tests see of it. `retired` are topics that were its own for a while."""

    stack: LocalStack
    timeline: Timeline
    received: Received
    clock: Clock | None = None
    retired: list[str] = field(default_factory=list)

    def up(self) -> None:
        """Start the stack, or what is not running of it, with the clock of the scene."""
        with variables_set(self.clock.variables() if self.clock else {}):
            self.stack.up(provision=provision)

    @contextmanager
    def outage(self, name: str) -> Iterator[None]:
        """What the block does to the platform is an outage in the timeline."""
        begin = time.time()
        self.timeline.say(name)
        yield
        self.timeline.outages.append(Outage(name, begin, time.time()))
        self.timeline.say(f"{name}: over after {time.time() - begin:.0f} s")


@dataclass(frozen=True)
class Disturbance:
    """Something that happens. The services in `alerts` are each reported once and end once; those in `may` perhaps."""

    name: str
    happen: Callable[[Scene], None]
    alerts: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


def kill(*services: str) -> Disturbance:
    """SIGKILL for services at once; for the code server with the runs at work."""
    name = f"kill {' and '.join(services)}"

    def happen(scene: Scene) -> None:
        with scene.outage(name):
            for service in services:
                if service == "code":
                    kill_tree(scene.stack, service)
                else:
                    scene.stack.kill(service)
            time.sleep(1)
            scene.stack.await_ready(set(services))

    return Disturbance(name, happen, services)


def hang(service: str, *, seen: bool = True) -> Disturbance:
    """SIGSTOP for a service and all that it has started: it neither dies nor answers, until SIGCONT.

    Not `seen`: one that the watch does not ask, because asking costs too much; it reports the runs that fail.
    """
    name = f"stop {service} (SIGSTOP)"

    def happen(scene: Scene) -> None:
        pid = scene.stack.status()[service].pid
        assert pid is not None
        with scene.outage(name):
            stopped = tree_of(pid)
            for process in stopped:
                process.suspend()
            time.sleep(slowdown.seconds(HANGS))
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
            scene.stack.await_ready({service})

    return Disturbance(name, happen, (service,) if seen else (), () if seen else (service,))


def set_clock_back() -> Disturbance:
    """All clocks go back by minutes, and later forward again, as when a time server is wrong for a while."""
    name = f"set the clock back by {STEP:.0f} s"

    def happen(scene: Scene) -> None:
        assert scene.clock is not None
        with scene.outage(name):
            scene.clock.set(-STEP)
            time.sleep(slowdown.seconds(STEPPED))
            scene.clock.set(0)

    return Disturbance(name, happen)


def add_and_retire_a_topic() -> Disturbance:
    """A partner's topic is added, its records arrive, it is retired: two changes of the configuration under load."""
    name = f"add the topic {TOPIC} and retire it"

    def happen(scene: Scene) -> None:
        before = scene.stack
        with scene.outage(name):
            added = before.settings.model_copy(update={"shape_topics": f"{TOPIC}={SHAPE}"})
            scene.stack = LocalStack(added)
            scene.up()
            topic = topic_names(added)[TOPIC]
            _produce(added.kafka_client_config(), topic)
            scene.retired.append(topic)
            slowdown.wait_for(f"the records of {topic}", lambda: _rows_of(scene.stack, topic) == RECORDS)
            scene.stack = LocalStack(before.settings)
            scene.up()
            subprocess.run(
                [str(venv_bin() / "music-platform"), "topic", "retire", TOPIC, "--yes"],
                env={"PATH": os.defpath, **settings_environment(before.settings, secrets=True)},
                check=True,
            )

    # The share of the disk of each topic changes, and with it the broker's configuration.
    return Disturbance(name, happen, (), ("kafka", "code", "daemon", "webserver", "spark", "warehouse"))


def _produce(config: dict[str, str], topic: str) -> None:
    """Records that are no playback: each is a row of the quarantine, and no mart changes."""
    producer = Producer(config)
    for number in range(RECORDS):
        producer.produce(topic, f'{{"no": "playback {number}"}}'.encode())
    assert producer.flush(slowdown.seconds(60)) == 0


def _rows_of(stack: LocalStack, topic: str) -> int:
    with connect(stack.settings) as session:
        cursor = session.cursor()
        cursor.execute("SELECT COUNT(*) FROM RAW.EVENTS WHERE kafka_topic = %s", (topic,))
        return int(cursor.fetchone()[0])  # type: ignore[index]


def while_the_receiver_is_away(then: Disturbance) -> Disturbance:
    """The receiver of alerts refuses all, while something happens that has to be reported: it is, later, once."""
    name = f"the receiver of alerts is away; {then.name}"

    def happen(scene: Scene) -> None:
        scene.received.status = 503
        then.happen(scene)
        slowdown.wait_for("a refused alert", lambda: scene.received.refused)
        scene.received.status = 200

    return replace(then, name=name, happen=happen)


def restart_everything() -> Disturbance:
    """`down` and `up` of the whole stack, as an upgrade does it."""
    name = "restart the whole stack"

    def happen(scene: Scene) -> None:
        with scene.outage(name):
            scene.stack.down()
            scene.up()

    return Disturbance(name, happen)


#: A service after the other, but daemon and code server at once.
KILLS = (kill("spark"), kill("kafka"), kill("warehouse"), kill("daemon", "code"))
#: All that happens to a platform that is left alone for long.
ALL = (
    KILLS[0],
    hang("kafka"),
    while_the_receiver_is_away(KILLS[2]),
    set_clock_back(),
    KILLS[1],
    hang("warehouse"),
    add_and_retire_a_topic(),
    KILLS[3],
    hang("spark", seen=False),
    restart_everything(),
)
