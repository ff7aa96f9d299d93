"""Ticks, the watch's look, a drain's look and a load on a table of a million versions, made of real files."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from music_platform.ingestion import backlog
from music_platform.ingestion.context import IngestionContext
from music_platform.ingestion.drain import Loads
from music_platform.ingestion.gaps import require_sound_checkpoint
from music_platform.lake import delta_log
from music_platform.lake.delta_log import DeltaTable
from music_platform.lake.files import Folder
from music_platform.lake.paths import events_path
from music_platform.lake.progress import Progress
from music_platform.monitoring import sources
from music_platform.monitoring.sources import Looker
from music_platform.orchestration import sensors
from music_platform.orchestration.keys import RAW_EVENTS
from music_platform.orchestration.store import Store
from music_platform.settings import Settings
from music_platform.topics import TopicOffsets
from tests.unit.warehouse.test_loads import Account, lake

FEW, MANY = 1_000, 1_000_000
#: Versions that are not in RAW.
NEW = 3
#: Hard links to one file: ext4 takes 65,000.
LINKS = 50_000
REPEATS = 15


def table_of(root: Path, versions: int) -> None:
    """A table with so many versions, the last ones with a row each, and Delta's pointer to a checkpoint before them."""
    lake(root, versions=1, rows=1)
    table = Path(events_path(str(root)))
    log = table / "_delta_log"
    data = next(table.glob("*.parquet"))
    template = log / "empty"
    for number in range(versions - NEW):
        if number % LINKS == 0:
            template.unlink(missing_ok=True)
            template.write_text(json.dumps({"commitInfo": {"timestamp": 1}}))
        name = log / f"{number:020d}.json"
        name.unlink(missing_ok=True)
        os.link(template, name)
    template.unlink()
    for number in range(versions - NEW, versions):
        (table / f"{number}.parquet").write_bytes(data.read_bytes())
        add = {"path": f"{number}.parquet", "dataChange": True, "stats": json.dumps({"numRecords": 1, "minValues": {}})}
        (log / f"{number:020d}.json").write_text(json.dumps({"add": add}))
    (log / "_last_checkpoint").write_text(json.dumps({"version": versions - 40}))


def looks(settings: Settings, instance: dg.DagsterInstance, versions: int) -> dict[str, Callable[[], object]]:
    """What asks for the table's versions, by name."""
    table = DeltaTable(events_path(settings.lake_root))
    loaded = versions - NEW - 1

    @contextmanager
    def warehouse() -> Iterator[Any]:
        yield Account(rows=1, loaded=loaded)

    context = IngestionContext(settings, lambda: None, warehouse, lambda _: None)  # type: ignore[arg-type, return-value]
    instance.report_runless_asset_event(dg.AssetMaterialization(RAW_EVENTS, metadata={"lake_version": loaded}))
    looker = Looker(settings, lambda: Store(instance))

    def load() -> None:
        assert [step.rows for step in Loads(context, table, {}).run()] == [NEW]

    return {
        "lag sensor": lambda: sensors.lag_tick(instance, settings, None),
        "live sensor": lambda: sensors.live_tick(instance, settings, None),
        "watch": lambda: list(looker.lag(time.time())),
        "drain": lambda: (
            require_sound_checkpoint(Progress(settings.lake_root), table),
            Loads(context, table, {}).are_due(),
        ),
        "load": load,
    }


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nothing_takes_longer_on_a_million_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, show: Callable[[str], None]
) -> None:
    listed: list[str] = []
    really = Folder._listed

    def listing(folder: Folder) -> Any:
        if folder.path.endswith("_delta_log"):
            listed.append(folder.path)
        return really(folder)

    offsets = TopicOffsets(first={"a": {0: 0}}, end={"a": {0: 0}}, ids={"a": "1"})
    monkeypatch.setattr(Folder, "_listed", listing)
    monkeypatch.setattr(backlog, "readable_offsets", lambda *_: offsets)
    monkeypatch.setattr(backlog, "high_watermarks", lambda *_: {"a": {0: 0}})
    monkeypatch.setattr(sources, "lacks", lambda *_: None)
    monkeypatch.setattr(DeltaTable, "_checkpointed_transactions", lambda *_: iter(()))
    fastest: dict[int, dict[str, float]] = {}
    homes = {}
    for versions in (FEW, MANY):
        home = tmp_path / str(versions)
        homes[versions] = Settings(_env_file=None, music_home=home, lake_url=str(home / "lake"))  # type: ignore[call-arg]
        table_of(home / "lake", versions)
        fastest[versions] = {}
    with dg.DagsterInstance.ephemeral() as few, dg.DagsterInstance.ephemeral() as many:
        found = {FEW: looks(homes[FEW], few, FEW), MANY: looks(homes[MANY], many, MANY)}
        for _ in range(REPEATS):  # in turns, so that other load on the machine affects both
            for versions, asked in found.items():
                for name, look in asked.items():
                    delta_log._latest.clear()
                    delta_log._earliest.clear()
                    started = time.perf_counter()
                    look()
                    seconds = time.perf_counter() - started
                    fastest[versions][name] = min(seconds, fastest[versions].get(name, seconds))
    for name, seconds in fastest[MANY].items():
        show(f"{name}: {1000 * fastest[FEW][name]:.1f} ms on {FEW:,} versions, {1000 * seconds:.1f} ms on {MANY:,}")
    assert listed == []
    assert not {name for name, seconds in fastest[MANY].items() if seconds > 3 * fastest[FEW][name]}
