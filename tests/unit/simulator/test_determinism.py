"""The same seed, start and options: the same events, whatever the rate, the sink or the number of workers."""

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_simulator.disturbances import KINDS
from music_simulator.generation import Generation, Plan, World
from music_simulator.options import Burst, Options
from music_simulator.pace import AtOnce, ByClock, ByRate, Pace
from music_simulator.run import Run
from music_simulator.sinks import Discard, Files
from tests.support import slowdown
from tests.unit.simulator.conftest import DISTURBED, SMALL, Made, make


def test_workers_and_windows_change_nothing(disturbed: Made) -> None:
    for workers, paced in ((1, True), (2, False), (3, True)):
        other = make(DISTURBED, workers, paced)
        assert other.texts == disturbed.texts
        assert other.keys == disturbed.keys
        assert other.kinds == disturbed.kinds


def test_windows_of_many_days_keep_the_order() -> None:
    options = Options(seed=9, users=40, days=12, songs=50, late=0.3, duplicates=0.3)
    one, other = make(options), make(options, 2, True)
    assert one.texts == other.texts
    assert (np.diff(one.records["due"]) >= 0).all()


def test_a_rush_and_a_hot_key_are_deterministic_too() -> None:
    options = replace(DISTURBED, hot_key=0.2, bursts=(Burst(20, 60, 20),))
    assert make(options).texts == make(options, 2, True).texts


def test_another_seed_or_start_is_another_run(small: Made) -> None:
    assert make(replace(SMALL, seed=6)).texts != small.texts
    assert make(replace(SMALL, start=SMALL.start.replace(day=2))).texts != small.texts


def test_a_longer_run_begins_with_the_shorter() -> None:
    """Growth aside: a guest's first visit may lie before the arrival, so more days bring some guests earlier."""
    shorter = make(replace(SMALL, growth=0.0))
    longer = make(replace(SMALL, growth=0.0, days=5))
    assert longer.texts[: len(shorter.texts)] == shorter.texts


def test_disturbances_leave_the_other_events_as_they_are(small: Made) -> None:
    """With --duplicates, late and broken records the undisturbed ones are the same bytes (versions aside)."""
    without = make(replace(DISTURBED, v2=0.0, unknown_fields=0.0))
    intact = {text for text, fault in zip(without.texts, without.records["fault"], strict=True) if not fault}
    assert intact < set(small.texts)
    assert len(intact) > 0.85 * len(small.texts)


def carried_out(options: Options, pace: Pace, folder: Path, workers: int = 1) -> dict[str, str]:
    """Run to files; a digest of each topic's lines."""
    with Generation(World(options), Plan(workers, False, not isinstance(pace, AtOnce))) as generation:
        Run(options, generation, Files(folder, "run", 700), pace, lambda: False, lambda _: None).carry_out()
    assert not list(folder.rglob("*.tmp"))
    return {
        topic.name: hashlib.sha256(b"".join(part.read_bytes() for part in sorted(topic.iterdir()))).hexdigest()
        for topic in folder.iterdir()
    }


def test_rates_and_sinks_change_nothing(tmp_path: Path, disturbed: Made) -> None:
    options = replace(DISTURBED, events=2500)
    fast = carried_out(options, AtOnce(), tmp_path / "fast")
    paced = carried_out(options, ByRate(5000), tmp_path / "paced", workers=2)
    assert fast == paced
    lines = b"".join(p.read_bytes() for p in sorted((tmp_path / "fast" / "listen_events").iterdir())).splitlines()
    listens = [
        text for text, kind in zip(disturbed.texts[:2500], disturbed.kinds[:2500], strict=True) if kind == "listen"
    ]
    assert lines == listens


def test_events_stops_after_so_many_records() -> None:
    for wanted in (1, 777):
        options = replace(SMALL, events=wanted)
        with Generation(World(options), Plan()) as generation:
            progress = Run(options, generation, Discard(), AtOnce(), lambda: False, lambda _: None).carry_out()
        assert progress.total == sum(progress.delivered[kind] for kind in KINDS) == wanted


@pytest.mark.parametrize("rate", [200, 2000])
def test_a_rate_is_kept_to_the_second(rate: int) -> None:
    """Records due so far have been delivered, and none that is not due, at every look."""
    seen: list[tuple[float, int]] = []

    class Watched(Discard):
        def deliver(self, kinds: list[int], *_: list[bytes]) -> int:
            seen.append((time.monotonic(), len(kinds)))
            return len(kinds)

    options = replace(SMALL, events=rate * 2)
    with Generation(World(options), Plan(paced=True)) as generation:
        Run(options, generation, Watched(), ByRate(rate), lambda: False, lambda _: None).carry_out()
    launch, total = seen[0][0], 0
    for now, count in seen:
        total += count
        assert abs((now - launch) - total / rate) < slowdown.seconds(1.0)
    assert seen[-1][0] - launch == pytest.approx(2.0, abs=slowdown.seconds(0.5))


def test_schedules() -> None:
    seconds = np.array([0, 10, 3600, 3610, 7300])
    assert ByClock().due(seconds).tolist() == [0, 10, 3600, 3610, 7300]  # type: ignore[union-attr]
    pace = ByRate(2, (Burst(1, 60, 5),))
    assert pace.due(seconds).tolist() == pytest.approx([0, 0.5, 1.0, 1.1, 1.2])  # type: ignore[union-attr]
    assert pace.due(seconds[:1]).tolist() == pytest.approx([1.7])  # type: ignore[union-attr]
    assert AtOnce().due(seconds) is None
