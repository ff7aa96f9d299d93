"""A disk that fills up is a warning, then critical: each once, also where the watch itself cannot write any more."""

import errno
from pathlib import Path

import pytest

from music_platform.ingestion.disk_space import Disk
from music_platform.monitoring import alerts, delivery, sources
from music_platform.monitoring.alerts import CRITICAL, WARNING, Message
from music_platform.monitoring.disk import disk_problems
from music_platform.monitoring.watch import Watch
from music_platform.orchestration.store import Store
from music_platform.settings import Settings


def disk(percent: float) -> Disk:
    return Disk(Path("/data"), 1000, int(10 * percent))


@pytest.mark.parametrize(
    ("percent", "severities"), [(50, []), (10, []), (9.9, [WARNING]), (3, [WARNING]), (2.9, [CRITICAL])]
)
def test_ten_percent_is_a_warning_and_three_are_critical(percent: float, severities: list[str]) -> None:
    problems = list(disk_problems([disk(percent)], 10, 3, 0.0))
    assert [problem.severity for problem in problems] == severities
    assert all(str(disk(percent)) in problem.how_bad for problem in problems)


def test_on_a_full_disk_an_alert_is_sent_once_and_so_is_the_all_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, music_home=tmp_path, alert_settle_seconds=30)
    sent: list[Message] = []
    monkeypatch.setattr(delivery, "receivers", lambda _: {"one": lambda message: sent.append(message) or True})
    write, percents = alerts.write_state, {0: 50.0, 10: 8.0, 20: 0.0, 30: 0.0, 40: 0.0, 50: 50.0, 90: 50.0, 100: 50.0}

    def no_store() -> Store:
        raise AssertionError("the disks are looked at without Dagster's store")

    seen = Watch(settings, no_store, [source for source in sources.SOURCES if "disks" in source.reads])
    for now, percent in percents.items():

        def save(path: Path, state: alerts.State, percent: float = percent) -> None:
            if percent == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(path, state)

        monkeypatch.setattr(sources, "local_disks", lambda _, percent=percent: [disk(percent)])
        monkeypatch.setattr(alerts, "write_state", save)
        seen.look(float(now))
    assert [(message.severity, message.title.removeprefix("music-platform: ")) for message in sent] == [
        (WARNING, "the disk is filling up"),
        (CRITICAL, "the disk is almost full"),
        (alerts.SUCCESS, "resolved: the disk is almost full"),
    ]
    assert alerts.read_state(tmp_path / "alerts.json", ["one"]).open == {}
