"""`topic`, `accept-loss`, `recover`, `rebuild`, `maintain`: decisions on the stream that are a person's, and its
upkeep."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from music_platform.errors import PlatformError
from music_platform.ingestion.context import IngestionContext
from music_platform.settings import get_settings
from music_platform.warehouse.connection import connect, query_tag

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

console = Console()


def _say(line: str) -> None:
    console.print(line, highlight=False)


def command_context() -> IngestionContext:
    """Sessions for a command of a person's; what is going on is printed."""
    settings = get_settings()

    def spark() -> "SparkSession":
        from pyspark.sql import SparkSession

        from music_spark.session import open_session, spark_conf

        if settings.spark_url is not None:
            return open_session(settings.spark_url, settings.spark_token)
        return SparkSession.builder.config(map=dict(spark_conf())).getOrCreate()

    tag = query_tag("command line", "raw/events")
    return IngestionContext(settings, spark, lambda: connect(settings, tag), _say)


def topic(
    action: Annotated[str, typer.Argument(help="adopt")],
    name: Annotated[str, typer.Argument(help="The topic, such as listen_events.")],
) -> None:
    """Take over a topic that was deleted and created again: it is read from its first record on."""
    from music_platform.ingestion.reconnection import adopt

    if action != "adopt":
        raise typer.BadParameter(f"{action}: the one thing to do with a topic is `topic adopt <topic>`")
    console.print(f"{name} is adopted with its new id {adopt(command_context(), name)}. The next run reads it.")


def accept_loss() -> None:
    """Record offsets that the broker deleted before they were read in OPS.GAPS, and go on behind them."""
    from music_platform.ingestion.reconnection import accept_loss as accept

    for gap in accept(command_context()):
        console.print(f"{gap} recorded as lost")


def recover() -> None:
    """Go on behind the lake's own highest offsets where the checkpoint is lost or another's."""
    from music_platform.ingestion.reconnection import recover as go_on

    for name, ends in sorted(go_on(command_context()).items()):
        console.print(f"{name}: goes on at {', '.join(f'{number}: {end}' for number, end in sorted(ends.items()))}")


def rebuild() -> None:
    """Make RAW.EVENTS anew from the lake. Ends a rebuild that was killed, too."""
    from music_platform.ingestion.rebuild import rebuild as again

    again(command_context())


def maintain() -> None:
    """Compact the lake, delete replaced files, clean its log and the stage; never what is not loaded yet."""
    from music_platform.ingestion.maintenance import maintain as keep

    keep(command_context())


def redrive(
    reason: Annotated[str | None, typer.Option(help="Only rows whose quarantine reason begins so.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only rows of this topic.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, by topic and reason.")] = False,
) -> None:
    """Send quarantined records again, byte by byte, to the topics that they came from."""
    from music_platform.ingestion.redrive import quarantined, send

    settings = get_settings()
    with connect(settings) as session:
        records = quarantined(session, reason=reason, topic=topic, limit=limit)
    counts: dict[tuple[str, str], int] = {}
    for record in records:
        counts[record.topic, record.reason] = counts.get((record.topic, record.reason), 0) + 1
    for (name, why), count in sorted(counts.items()):
        console.print(f"{count:>8,}  {name}  {why}", highlight=False, markup=False)
    if dry_run:
        console.print(f"{len(records):,} records would be sent.")
        return
    if failed := send(settings, records):
        raise PlatformError(f"{failed:,} of {len(records):,} records were not acknowledged; run redrive again")
    console.print(f"{len(records):,} records sent. The next run reads them; OPS.QUARANTINE shows what became of them.")
