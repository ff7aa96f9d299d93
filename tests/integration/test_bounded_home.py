"""Sixty days of a home in some minutes: its bytes by store after thirty and after sixty. Only the data grows.

Each store gets what it gets in a day under 200 events a second, or a known part of it, at moments of the past; what
prunes it is the platform's own code, with the settings' defaults. The days are counted back from now, and ages are made
to fit: retention is longer by as much as a simulated day lies in the past.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka import Producer
from dagster._core.test_utils import create_run_for_test, freeze_time

from music_platform.contracts.reference import TABLES
from music_platform.home import Home
from music_platform.ingestion.intake import Batch, IntakeFile
from music_platform.ingestion.maintenance import maintain
from music_platform.ingestion.rebuild import rebuild
from music_platform.lake.lease import Claim
from music_platform.lake.paths import events_path, intake_path, lease_path
from music_platform.orchestration._dagster import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
)
from music_platform.orchestration.automation import OBSERVATION_SECONDS
from music_platform.orchestration.dbt_project import prune_targets
from music_platform.orchestration.upkeep import prune_instance
from music_platform.process_identity import this_host
from music_platform.settings import Settings, get_settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.machine_doctor import size_of
from music_platform.stack.provision import create_topics
from music_platform.topics import topic_names
from music_platform.warehouse.connection import connect
from music_platform.warehouse.loader import load
from music_platform.warehouse.reference_tables import load_reference
from music_platform.warehouse.staging import REFERENCE_FOLDER, STAGE_FOLDER
from tests.support import slowdown
from tests.support.ingestion import Platform, listens
from tests.support.past_lake import DAY, Lake
from tests.support.stack import running_stack

DAYS, MEASURED = 60, (30, 60)
#: Days from one upkeep of the lake to the next; it is an hour in truth.
UPKEEP_DAYS = 6
#: What happens in a day, and how much of the true number that is. Four topics are observed once a minute; there are
#: some 450 runs: of ingestion and live builds each ten minutes at most, and of all others.
OBSERVATIONS, OBSERVATIONS_PART = 480, 480 / (4 * DAY / OBSERVATION_SECONDS)
RUNS, RUNS_PART = 9, 9 / 450
TARGETS, TARGETS_PART = 9, 9 / 450
VERSIONS = 4
#: Bytes by which a store may differ from one month to the next: pages of SQLite, blocks of the disk.
SLACK = 256 << 10
#: A home whose broker may have this much.
BROKER_BYTES = 64 << 20

KEY = dg.AssetKey(["kafka", "listen"])


@dg.asset(key=["silver", "events"])
def events(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    context.log.info("built")
    return dg.MaterializeResult(metadata={"figures": dg.MetadataValue.json({str(n): "x" * 40 for n in range(60)})})


@dg.asset_check(asset=events)
def some_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, description="0 of 7")


class Store:
    """Dagster's store: events and runs of past days are copies of real ones."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home, self.settings = home, settings
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.instance = dg.DagsterInstance.from_config(str(home))
        storage = self.instance.event_log_storage
        assert isinstance(storage, SqliteEventLogStorage)
        self.storage = storage
        data = {"records": 7, "lag": 0, "end_offsets": dg.MetadataValue.json({str(n): 10**9 for n in range(4)})}
        self.instance.report_runless_asset_event(
            dg.AssetObservation(KEY, metadata=data, tags={"dagster/data_version": "0123456789abcdef"})
        )
        self._run = dg.materialize([events, some_check], instance=self.instance).run_id

    def live(self, start: float) -> None:
        """A day: observations without a run, and runs with all that they leave."""
        self._observe(_utc(start), OBSERVATIONS)
        for n in range(RUNS):
            at = start + n * DAY / RUNS
            with freeze_time(at):
                run = create_run_for_test(self.instance, ("ingest", "live", "policy")[n % 3], status=SUCCESS)
            self._fill(run.run_id, _utc(at))

    def _observe(self, at: datetime, count: int) -> None:
        for connect_to in (lambda: self.storage.run_connection(""), self.storage.index_connection):
            with connect_to() as connection:
                found = connection.execute(
                    SqlEventLogStorageTable.select().where(SqlEventLogStorageTable.c.run_id == "").limit(1)
                )
                (template,) = found.mappings().all()
                row = {name: value for name, value in template.items() if name != "id"} | {"timestamp": at}
                connection.execute(SqlEventLogStorageTable.insert(), [row] * count)
                newest = connection.exec_driver_sql("SELECT MAX(id) FROM event_logs").scalar()
        tag = {"asset_key": KEY.to_string(), "key": "dagster/data_version", "value": "0123456789abcdef"}
        with self.storage.index_connection() as connection:
            connection.execute(AssetEventTagsTable.insert(), [tag | {"event_id": newest - n} for n in range(count)])

    def _fill(self, run_id: str, at: datetime) -> None:
        """What the real run has left, under another id: its file, its rows in the index, its logs."""
        shutil.copy(self.storage.path_for_shard(self._run), self.storage.path_for_shard(run_id))
        with self.storage.index_connection() as connection:
            for table, moment in (
                (SqlEventLogStorageTable, "timestamp"),
                (AssetCheckExecutionsTable, "evaluation_event_timestamp"),
            ):
                found = connection.execute(table.select().where(table.c.run_id == self._run)).mappings().all()
                rows = [{**row, "run_id": run_id, moment: at} for row in found]
                for row in rows:
                    del row["id"]
                connection.execute(table.insert(), rows)
        shutil.copytree(self.home / "storage" / self._run, self.home / "storage" / run_id)

    def prune(self, now: float) -> None:
        with freeze_time(now):
            prune_instance(self.instance, self.settings)

    def sizes(self) -> dict[str, float]:
        runs = self.home / "history" / "runs"
        index = sum(size_of_file(path) for path in runs.iterdir() if path.name.startswith(("index.db", ".db")))
        return {
            "Dagster: events and checks": index / OBSERVATIONS_PART,
            "Dagster: runs and their logs": (size_of(self.home) - index) / RUNS_PART,
        }


SUCCESS = dg.DagsterRunStatus.SUCCESS


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)


def size_of_file(path: Path) -> int:
    return path.stat().st_blocks * 512


class Files:
    """What else a home leaves behind in a day: of dbt, the intake, killed writers and killed loads."""

    def __init__(self, platform: Platform, home: Home, stage: Path) -> None:
        self.platform, self.home, self.stage = platform, home, stage
        self.batches = Path(intake_path(platform.settings.lake_root))
        self.archive = Path(platform.settings.intake_root) / "_archive" / "listen_events"
        self.archive.mkdir(parents=True)
        self.reference = Path(platform.settings.reference_root)
        self.reference.mkdir(parents=True)

    def live(self, day: int, start: float) -> None:
        for n in range(TARGETS):
            # The size of a real invocation's folder: manifest, partial parse, compiled SQL, log.
            folder = self.home.dbt_target / f"{('models', 'prune_ledgers')[n % 2]}-{day}-{n}"
            folder.mkdir(parents=True)
            (folder / "manifest.json").write_bytes(b"m" * (1200 << 10))
            (folder / "partial_parse.msgpack").write_bytes(b"p" * (1200 << 10))
            self._age(folder, start)
        self._batch(day, start)
        self._killed_writers(start)
        self._references(day, start)

    def _batch(self, number: int, start: float) -> None:
        file = IntakeFile("listen_events", f"{number}.jsonl", 1, int(start * 1000))
        (self.archive / file.name).write_bytes(b"{}" * (50 << 10))
        note = self.batches / f"{number:020d}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(asdict(Batch("intake-x", number, -1, (file,), ended=True))))
        self._age(note, start)

    def _killed_writers(self, start: float) -> None:
        lease = Path(lease_path(self.platform.settings.lake_root, "rebuild"))
        lease.mkdir(parents=True, exist_ok=True)
        dead = Claim(f"{uuid.uuid4().hex}.json", str(this_host()), 2**22 + 1, "1")
        (lease / dead.name).write_text(json.dumps(asdict(dead)))
        part = lease / f".{dead.name}.{uuid.uuid4().hex}"
        part.write_text("{")
        self._age(part, start)

    def _references(self, day: int, start: float) -> None:
        """A load, which removes its file; and what a killed load, a killed loader and a killed rebuild leave."""
        users = self.reference / "users.csv"
        table = next(table for table in TABLES if table.name == "users")
        names = [column.column for column in table.columns]
        row = ",".join({table.key: "{n}", "first_name": "Name {day}"}.get(name, "") for name in names)
        users.write_text("\n".join([",".join(names), *(row.format(n=n, day=day) for n in range(2000))]) + "\n")
        with connect(self.platform.settings) as session:
            load_reference(session, table, users)
            for place in (REFERENCE_FOLDER, f"{STAGE_FOLDER}/v0", f"{STAGE_FOLDER}/rebuild{day}"):
                session.cursor().execute(f"PUT 'file://{users}' @{place} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
        for path in self.stage.rglob("users.csv"):
            self._age(path, start)

    @staticmethod
    def _age(path: Path, at: float) -> None:
        for each in (*(path.rglob("*") if path.is_dir() else ()), path):
            os.utime(each, (at, at))

    def sizes(self) -> dict[str, float]:
        root = Path(self.platform.settings.lake_root)
        return {
            # Twenty folders stay, and those of the last hour, of which there are none here.
            "dbt: targets and logs": float(size_of(self.home.dbt)),
            "Delta log": float(size_of(root / "events" / "_delta_log")),
            "checkpoint, leases, notes": float(size_of(root / "_checkpoints")),
            "intake, taken in": float(size_of(Path(self.platform.settings.intake_root))),
            "stage": float(size_of(self.stage) + sum(size_of_file(p) for p in self.stage.rglob("*") if p.is_dir())),
        }


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("MUSIC_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    yield Home(get_settings().home)
    get_settings.cache_clear()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_store_grows_but_lake_raw_and_marts(
    stack: LocalStack, tmp_path: Path, own_home: Home, show: Callable[[str], None]
) -> None:
    places = {"intake_url": str(tmp_path / "intake"), "reference_dir": tmp_path / "reference"}
    platform = Platform(stack, "bounded_home", tmp_path, **places)
    platform.produce(listens(5), partition=0)
    platform.ingest()
    lake, warehouse = Lake(Path(events_path(platform.settings.lake_root))), Home(stack.settings.home).warehouse
    store = Store(tmp_path / "dagster", platform.settings)
    files = Files(platform, own_home, warehouse / "stages")
    start = time.time() - DAYS * DAY
    tables: dict[int, dict[str, float]] = {}
    grown: dict[int, dict[str, float]] = {}
    for day in range(1, DAYS + 1):
        begin, end = start + (day - 1) * DAY, start + day * DAY
        store.live(begin)
        files.live(day, begin)
        for n in range(VERSIONS):
            lake.append(begin + n * DAY / VERSIONS)
        store.prune(end)
        prune_targets()
        if day % UPKEEP_DAYS == 0:
            # Upkeep's own commit is a multiple of ten, as every tenth of the stream is: Delta writes a checkpoint.
            while (lake.table.latest_version() + 1) % 10:
                lake.append(end - 1)
            upkeep(platform, lake, end)
        if day in MEASURED:
            tables[day] = store.sizes() | files.sizes()
            data = sum(size_of_file(path) for path in lake.root.glob("*.parquet"))
            grown[day] = {"lake: data": float(data), "RAW: rows": float(platform.count())}
    first, second = (tables[day] for day in MEASURED)
    show(f"{'store (bytes at the full rate)':34}{'30 days':>16}{'60 days':>16}")
    for name in first:
        show(f"{name:34}{first[name]:16,.0f}{second[name]:16,.0f}")
    for name in grown[30]:
        show(f"{name:34}{grown[30][name]:16,.0f}{grown[60][name]:16,.0f}  grows")
    for name, size in second.items():
        scale = {"Dagster: events and checks": OBSERVATIONS_PART, "Dagster: runs and their logs": RUNS_PART}
        assert (size - first[name]) * scale.get(name, 1.0) <= SLACK, f"{name} grows"
    assert grown[60]["RAW: rows"] > 1.9 * grown[30]["RAW: rows"], "what is counted did grow"


def upkeep(platform: Platform, lake: Lake, end: float) -> None:
    """The loader, a rebuild now and then, and maintenance as of the moment `end`."""
    with connect(platform.settings) as session:
        list(load(session, lake.table))
    passed = (time.time() - end) / DAY
    longer = {
        "log_retention_hours": int(platform.settings.log_retention_hours + passed * 24),
        "lake_retention_hours": int(platform.settings.lake_retention_hours + passed * 24),
        "intake_retention_days": platform.settings.intake_retention_days + passed,
    }
    context = replace(platform.context, settings=platform.settings.model_copy(update=longer))
    rebuild(context)
    maintain(context)
    lake.age_log(end)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_broker_of_a_home_keeps_within_its_size(tmp_path: Path, show: Callable[[str], None]) -> None:
    with running_stack(tmp_path / "home", frozenset({"kafka"}), kafka_retention_bytes=BROKER_BYTES) as stack:
        create_topics(stack.settings)
        data = Home(stack.settings.home).kafka / "data"
        producer = Producer({**stack.settings.kafka_client_config(), "linger.ms": 50})
        for _ in range(2):
            # Twice the size, in all topics; nothing that could be compressed.
            for n in range(2 * BROKER_BYTES // (64 << 10)):
                producer.produce(list(topic_names(stack.settings).values())[n % 4], os.urandom(64 << 10))
                producer.poll(0)
            assert producer.flush(slowdown.seconds(120)) == 0
            # It looks each minute, and deletes a minute later.
            deadline = time.monotonic() + slowdown.seconds(240)
            while (size := records_size(data)) > BROKER_BYTES:
                assert time.monotonic() < deadline, f"{size:,} bytes of records"
                time.sleep(2)
            show(f"broker: {2 * BROKER_BYTES:,} bytes sent, {size:,} kept; KAFKA_RETENTION_BYTES is {BROKER_BYTES:,}")


def records_size(data: Path) -> int:
    return sum(path.stat().st_size for path in data.glob("*events-*/*") if path.suffix in (".log", ".deleted"))
