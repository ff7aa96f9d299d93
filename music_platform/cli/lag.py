"""`music-platform lag`: how far each stage of the pipeline is behind."""

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from music_platform.cli.terminal import acting_settings, console, plain
from music_platform.stack.listeners import require_listeners
from music_platform.stack.services import KAFKA, WAREHOUSE

if TYPE_CHECKING:
    from music_platform.ingestion.backlog import Backlog
    from music_platform.settings import Settings

STAGES = {
    "kafka_to_lake": "Kafka → lake",
    "files_to_lake": "files → lake",
    "lake_to_raw": "lake → RAW",
    "raw_to_marts": "RAW → marts",
}


def lag(as_json: Annotated[bool, typer.Option("--json", help="One JSON object by stage.")] = False) -> None:
    """Show how far each stage is behind, in records and seconds.

    Seconds are the age of the oldest record that has not arrived yet. The intake is counted in files.
    """
    settings = acting_settings()
    require_listeners(settings, KAFKA, WAREHOUSE)
    stages = dict(zip(STAGES, read_stages(settings), strict=True))
    if as_json:
        print(json.dumps({name: asdict(stage) for name, stage in stages.items()}, indent=2))
        return
    table = Table("stage", "records", "seconds", "behind", box=None, pad_edge=False, header_style="bold")
    for name, stage in stages.items():
        behind = ", ".join(f"{what} {records:,}" for what, records in stage.behind.items() if records)
        table.add_row(STAGES[name], stage.count, f"{stage.seconds:,.1f}", plain(stage.unknown or behind))
    console.print(table)


def read_stages(settings: "Settings") -> "tuple[Backlog, ...]":
    """The backlog of each stage, in the order of `STAGES`."""
    # Imported here: without a broker or a warehouse there is nothing to wait for.
    from music_platform.ingestion import backlog
    from music_platform.warehouse.connection import connect
    from music_platform.warehouse.loader import loaded_version

    offsets, kafka = backlog.read_kafka_backlog(settings)
    for trouble in offsets.troubles.values():
        raise trouble
    with connect(settings) as session:
        loaded, built = loaded_version(session), backlog.built_version(session)
        lake, marts = backlog.read_lake_backlog(settings, loaded), backlog.marts_backlog(session)
    return (
        replace(kafka, seconds=backlog.kafka_age(settings, offsets) if kafka.records else 0.0),
        backlog.read_files_backlog(settings),
        replace(lake, seconds=backlog.lake_age(settings, loaded) if lake.records else 0.0),
        replace(marts, seconds=backlog.lake_age(settings, built, loaded) if marts.records else 0.0),
    )
