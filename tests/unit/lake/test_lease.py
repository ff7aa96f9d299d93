"""One writer at a time: who may write, when a writer counts as dead, and that two never write together."""

import json
import multiprocessing
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from music_platform.lake import lease
from music_platform.lake.files import Folder
from music_platform.lake.lease import Claim, LeaseError, Step, held_lease, is_dead, next_step
from music_platform.process_identity import this_host
from tests.support import slowdown


def claim(**changes: object) -> Claim:
    return Claim(**{"name": "a.json", "host": str(this_host()), "pid": 1, "process_started": "0", **changes})  # type: ignore[arg-type]


def test_the_protocol() -> None:
    assert next_step(own_is_written=False, others_alive=0) is Step.CLAIM
    assert next_step(own_is_written=True, others_alive=0) is Step.HOLD
    assert next_step(own_is_written=True, others_alive=1) is Step.WITHDRAW
    assert next_step(own_is_written=False, others_alive=1) is Step.WAIT


def test_a_writer_is_dead_when_its_process_is_gone_or_its_heartbeat_silent() -> None:
    here, there = claim(), claim(host="elsewhere/1")
    assert is_dead(here, str(this_host()), alive=False, unchanged_seconds=0)
    assert not is_dead(here, str(this_host()), alive=True, unchanged_seconds=1e9)
    assert not is_dead(there, str(this_host()), alive=False, unchanged_seconds=lease.SILENT_SECONDS)
    assert is_dead(there, str(this_host()), alive=True, unchanged_seconds=lease.SILENT_SECONDS + 1)


def test_a_second_caller_waits_until_the_first_is_done(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with held_lease(str(tmp_path), slowdown.seconds(30)):
            order.append("second")

    with held_lease(str(tmp_path), 0):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert Folder.at(str(tmp_path)).names() == []


def test_waiting_is_bounded_and_the_message_names_the_holder(tmp_path: Path) -> None:
    with (
        held_lease(str(tmp_path), 0),
        pytest.raises(LeaseError, match=f"process {os.getpid()} on"),
        held_lease(str(tmp_path), 0.2),
    ):
        pass


def _hold_and_die(folder: str) -> None:
    with held_lease(folder, 0) as held:
        held.note_spark_session("session-of-the-dead")
        os._exit(9)


def test_a_dead_holder_is_succeeded_at_once_and_leaves_its_spark_session(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(str(tmp_path),))
    process.start()
    process.join()
    started = time.monotonic()
    with held_lease(str(tmp_path), slowdown.seconds(5)) as held:
        assert [dead.spark_session for dead in held.dead] == ["session-of-the-dead"]
        held.remove_dead_claims()
    assert time.monotonic() - started < slowdown.seconds(2)
    assert Folder.at(str(tmp_path)).names() == []


def test_a_holder_on_another_machine_is_succeeded_when_its_heartbeat_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SILENT_SECONDS", 0.5)
    there = claim(name="b.json", host="elsewhere/1")
    Folder.at(str(tmp_path)).write(there.name, json.dumps(asdict(there)).encode())
    with held_lease(str(tmp_path), slowdown.seconds(10)) as held:
        assert held.dead == [there]


def test_a_holder_that_was_considered_dead_notices_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    with held_lease(str(tmp_path), 0) as held:
        held.check()
        for name in Folder.at(str(tmp_path)).names():
            Folder.at(str(tmp_path)).remove(name)
        time.sleep(slowdown.seconds(0.3))
        with pytest.raises(LeaseError, match="taken over"):
            held.check()


def test_a_holder_whose_removed_claim_came_back_gives_way_to_the_new_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    folder = Folder.at(str(tmp_path))
    with held_lease(str(tmp_path), 0) as held:
        (own,) = folder.names()
        folder.write("new.json", json.dumps(asdict(claim(name="new.json"))).encode())
        deadline = time.monotonic() + slowdown.seconds(5)
        while own in folder.names() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert folder.names() == ["new.json"]
        with pytest.raises(LeaseError, match="taken over while this process was paused"):
            held.check()


def _claim_in_turn(folder: str, log: str) -> None:
    for _ in range(3):
        with held_lease(folder, slowdown.seconds(60)):
            with open(log, "a") as out:
                out.write("in\n")
            time.sleep(0.02)
            with open(log, "a") as out:
                out.write("out\n")


def test_of_many_that_claim_at_once_one_holds(tmp_path: Path) -> None:
    folder, log = str(tmp_path / "lease"), tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    crowd = [context.Process(target=_claim_in_turn, args=(folder, str(log))) for _ in range(4)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert log.read_text() == "in\nout\n" * 12
