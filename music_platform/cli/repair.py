"""The commands that repair: decisions about the stream that a person takes, and the upkeep of the lake.

What cannot be undone is shown and asked for first; `--yes` answers in a script.
"""

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from music_platform.cli.terminal import acting_settings, ask, console, plain, require_answer, require_home
from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.ingestion.context import IngestionContext
from music_platform.settings import Settings
from music_platform.stack.listeners import require_listeners
from music_platform.stack.services import KAFKA, SPARK_CONNECT, WAREHOUSE
from music_platform.warehouse.connection import connect, query_tag

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from music_platform.ingestion.gaps import Gap
    from music_platform.ingestion.reconnection import Adoption, Loss, Recovery
    from music_platform.lake.checkpoint import Offsets
    from music_platform.lake.progress import RetiredTopic

#: Maximum number of records that were not sent that a command names.
MAX_LISTED = 20

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, for scripts.")]

topic = typer.Typer(add_completion=False)


@topic.callback()
def topic_group() -> None:
    """Take over a topic created again, or retire one."""


@topic.command("adopt")
def adopt_command(
    name: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic, such as listen_events.")], yes: Yes = False
) -> None:
    """Read a topic that was deleted and created again, from its first record on."""
    from music_platform.ingestion.reconnection import adopt

    context = repair_context(yes, KAFKA)

    def approve(plan: "Adoption") -> None:
        read = _offsets(plan.old.committed) or "nothing"
        ask(
            [
                f"{name} had the id {plan.old.topic_id}. The lake has its records up to these offsets: {read}",
                f"Now it has the id {plan.topic_id} and holds {plan.records:,} records, which are read from the first.",
                "Records of the old topic that were not read are lost.",
            ],
            f"Adopt {name}?",
            yes,
        )

    _say(f"{name} is adopted with its new id {adopt(context, name, approve)}. The next run reads it.")


@topic.command("retire")
def retire_command(
    name: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic, such as plays.")], yes: Yes = False
) -> None:
    """Retire a topic that is no longer one of the platform's. Its rows stay."""
    from music_platform.ingestion.topic_changes import retire

    context = repair_context(yes)

    def approve(old: "RetiredTopic") -> None:
        read = _offsets(old.committed) or "nothing"
        ask(
            [
                f"The lake has the records of {name} up to these offsets: {read}",
                "Later records are not read. If the topic becomes the platform's again, it resumes there.",
            ],
            f"Retire {name}?",
            yes,
        )

    retire(context, name, approve)
    _say(f"{name} is retired. Its rows stay in the lake and in RAW.")


def accept_loss_command(yes: Yes = False) -> None:
    """Record what is lost and resume after it.

    For offsets that the broker deleted before they were read, and for rows that the check conservation misses or
    counts twice. OPS.GAPS and OPS.RECONCILED keep who accepted it, and when.
    """
    from music_platform.ingestion.reconnection import accept_loss

    context = repair_context(yes, KAFKA, WAREHOUSE)

    def approve(loss: "Loss") -> None:
        lines = [*map(_lost, loss.expired), *(f"RAW.EVENTS: {said}" for said in loss.complaints)]
        ask(lines, "Record this as lost, and resume after it?", yes)

    loss = accept_loss(context, approve)
    for gap in loss.expired:
        _say(f"{gap.partition.topic}/{gap.partition.number}: offsets {gap.first} to {gap.last} are recorded as lost")
    if loss.complaints:
        _say("What does not balance in RAW.EVENTS is accepted. Builds resume when the check conservation has passed.")


def accept_rows_command(yes: Yes = False) -> None:
    """Let builds take in rows that a check refused.

    For rows that cannot be fixed; OPS.CHECKED_BATCHES keeps who accepted them, and when.
    """
    from music_platform.warehouse.checked_batches import NothingRefusedError, accept, refused

    context = repair_context(yes, WAREHOUSE)
    with context.warehouse() as session:
        found = refused(session)
        if not found:
            raise NothingRefusedError("No check refuses rows of RAW.EVENTS. There is nothing to accept.")
        ask(
            [f"{check} refuses rows in {batches} of RAW.EVENTS" for check, batches in found.items()],
            "Let builds take them in?",
            yes,
        )
        accept(session, list(found), getpass.getuser())
    _say("They are accepted. Run the job quality in Dagster's UI: builds resume when it has passed.")


def recover_command(yes: Yes = False) -> None:
    """Replace a lost checkpoint; resume where the lake ends.

    For a checkpoint that is lost, damaged, or older than the lake, as after a restored backup.
    """
    from music_platform.ingestion.reconnection import recover

    context = repair_context(yes, KAFKA)

    def approve(plan: "Recovery") -> None:
        ask(
            [
                f"The checkpoint {plan.checkpoint} is no longer used.",
                "The stream resumes after what the lake holds; other partitions are read from their first record:",
                *(_resume(plan.resume) or ["  (the lake holds nothing)"]),
            ],
            "Begin a new checkpoint there?",
            yes,
        )

    for line in _resume(recover(context, approve)):
        _say(line)


def rebuild_command(yes: Yes = False) -> None:
    """Rebuild RAW.EVENTS from the lake.

    Also finishes a rebuild that was killed. Loading waits meanwhile; the next build makes the models from the new rows.
    """
    from music_platform.ingestion.rebuild import rebuild
    from music_platform.lake.delta_log import DeltaTable
    from music_platform.lake.paths import events_path
    from music_platform.lake.snapshot import snapshot

    context = repair_context(yes, WAREHOUSE)
    if not yes:
        state = snapshot(DeltaTable(events_path(context.settings.lake_root)))
        ask(
            [
                f"RAW.EVENTS holds {_rows_in_raw(context)}. It is replaced by version {state.version} of the lake: "
                f"{state.rows:,} rows of {len(state.files):,} files."
            ],
            "Rebuild RAW.EVENTS?",
            yes,
        )
    rebuilt = rebuild(context)
    _tell_dagster(context.settings, rebuilt.version, rebuilt.rows)


def _tell_dagster(settings: Settings, version: int, rows: int) -> None:
    """Report the rebuilt RAW, so that the sensors start what follows from it. A home without Dagster has none."""
    from music_platform.orchestration.store import open_store

    if not Home(settings.home).dagster.exists():
        return
    try:
        with open_store(settings) as store:
            store.report_rebuilt(version, rows)
    except Exception as error:
        raise PlatformError(
            f"RAW is rebuilt, but Dagster's store could not be told ({type(error).__name__}). Start the job ingest "
            "once it answers: it finds that the models are not built from this RAW, and the sensors build them."
        ) from error


def redrive_command(
    reason: Annotated[
        str | None, typer.Option(help="Only records whose quarantine reason starts with this text.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Only records of this topic.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many records.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be sent.")] = False,
) -> None:
    """Send quarantined records again, after a fix.

    They go, byte for byte and with their keys, to the partitions that they came from.
    """
    from music_platform.ingestion.redrive import counts, quarantined, send

    settings = acting_settings()
    require_listeners(settings, WAREHOUSE, *(() if dry_run else (KAFKA,)))
    with connect(settings, query_tag("command line", "redrive")) as session:
        found = counts(session, reason=reason, topic=topic, limit=limit)
        for (name, why), count in found.items():
            _say(f"{count:>8,}  {name}  {why}")
        if dry_run:
            _say(f"{sum(found.values()):,} records would be sent.")
            return
        sent = send(settings, quarantined(session, reason=reason, topic=topic, limit=limit))
    _say(f"{sent.acknowledged:,} records sent. The next run reads them; OPS.QUARANTINE shows the result.")
    if sent.failed:
        for origin, why in sent.failed[:MAX_LISTED]:
            _say(f"not sent: {origin}: {why}")
        more = f" The first {MAX_LISTED} are named above." if len(sent.failed) > MAX_LISTED else ""
        raise PlatformError(f"{len(sent.failed):,} records were not sent, and all others were.{more}")


def maintain_command() -> None:
    """Compact the lake, and clean up its log and the stage.

    Removes files that compaction has replaced, but nothing that is not loaded yet.
    """
    from music_platform.ingestion.maintenance import maintain

    settings = acting_settings()
    require_home(settings)
    require_listeners(settings, SPARK_CONNECT, WAREHOUSE)
    maintain(command_context(settings))


def repair_context(yes: bool, *wanted: str) -> IngestionContext:
    """The sessions for a repair, once it is sure that there is a platform, an answer and each service that it needs."""
    settings = acting_settings()
    require_answer(yes)
    require_home(settings)
    require_listeners(settings, *wanted)
    return command_context(settings)


def command_context(settings: Settings) -> IngestionContext:
    """Sessions for a command; its progress is printed."""

    def spark() -> "SparkSession":
        from pyspark.sql import SparkSession

        from music_spark.session import open_session, spark_conf

        if settings.spark_url is not None:
            return open_session(settings.spark_url, settings.spark_token)
        return SparkSession.builder.config(map=dict(spark_conf())).getOrCreate()

    tag = query_tag("command line", "raw/events")
    return IngestionContext(settings, spark, lambda: connect(settings, tag), _say)


def _rows_in_raw(context: IngestionContext) -> str:
    """How many rows a rebuild replaces, in words."""
    from snowflake.connector.errors import ProgrammingError

    with context.warehouse() as session:
        cursor = session.cursor()
        try:
            cursor.execute("SELECT COUNT(*) FROM RAW.EVENTS")
        except ProgrammingError:
            return "nothing: there is no such table"
        rows: Any = cursor.fetchall()
    return f"{rows[0][0]:,} rows"


def _lost(gap: "Gap") -> str:
    where, count = f"{gap.partition.topic}/{gap.partition.number}", gap.last - gap.first + 1
    return f"{where}: the broker deleted offsets {gap.first} to {gap.last} ({count:,}) before they were read"


def _resume(offsets: "Offsets") -> list[str]:
    return [f"{name}: resumes at {_offsets(ends)}" for name, ends in sorted(offsets.items())]


def _offsets(ends: dict[int, int]) -> str:
    return ", ".join(f"{number}: {end}" for number, end in sorted(ends.items()))


def _say(line: str) -> None:
    console.print(plain(line), highlight=False, soft_wrap=True)
