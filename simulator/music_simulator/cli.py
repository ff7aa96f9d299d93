"""`music-platform simulate`: turns the command line into a run."""

import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Annotated, Any

import typer

from music_platform.settings import Settings, get_settings
from music_simulator.clock import DAY
from music_simulator.display import Display, summary
from music_simulator.generation import Generation, Plan, World
from music_simulator.options import (
    MAX_DAYS,
    MAX_GROWTH,
    MAX_ID_BASE,
    MAX_RATE,
    MAX_SONGS,
    MAX_USERS,
    MESSY,
    MIN_SONGS,
    SCENARIOS,
    BadOptionError,
    Burst,
    Options,
)
from music_simulator.pace import AtOnce, ByClock, ByRate, Pace
from music_simulator.reference import write_catalogue, write_users
from music_simulator.run import Run
from music_simulator.sinks import Files, Retrying, Sink, SinkError

#: Seconds after which a paced run to files completes its part files.
PUBLISH_SECONDS = 10.0

_WHO = "Who and when"
_WHAT = "What is sent"
_HOW = "How and where"
_SHARE = "Disturbances (each a share from 0 to 1)"


def _share(name: str, text: str) -> Any:
    """An option that is a share, 0 unless it or --messy is given."""
    default, panel = f"0, with --messy {MESSY[name]:g}", _WHAT if name in ("v2", "v3") else _SHARE
    return typer.Option(min=0, max=1, help=text, show_default=default, rich_help_panel=panel)


def simulate(
    seed: Annotated[int, typer.Option(min=0, help="The same seed, start and options give the same events.",
                                      rich_help_panel=_WHO)] = 1,
    users: Annotated[int, typer.Option(min=1, max=MAX_USERS, rich_help_panel=_WHO,
                                       help="Users at the start. A user views about 2 pages a day on average.")] = 1000,
    start: Annotated[str | None, typer.Option(
        metavar="DATE", help="Start of simulated time, UTC, as a day or an instant: 2026-06-01 or 2026-06-01T08:00:00. "
        "Default: 2026-06-01; with --rate or --live: now.", rich_help_panel=_WHO)] = None,
    days: Annotated[int | None, typer.Option(
        min=1, max=MAX_DAYS, help="Days of simulated time. Default: 7; with --rate or --live from now: 1.",
        rich_help_panel=_WHO)] = None,
    end: Annotated[str | None, typer.Option(
        metavar="DATE", help="End of simulated time, instead of --days. A whole number of days after --start.",
        rich_help_panel=_WHO)] = None,
    events: Annotated[int | None, typer.Option(min=1, help="Stop after this many records.",
                                               rich_help_panel=_WHO)] = None,
    growth: Annotated[float, typer.Option(min=0, max=MAX_GROWTH, rich_help_panel=_WHO,
                                          help="New guests per year, as a multiple of all users so far.")] = 2.0,
    id_base: Annotated[int | None, typer.Option(
        min=0, max=MAX_ID_BASE, help="User ids start after this number, session ids after 100,000 times this number. "
        "Default: 10 million times the seed modulo 1000, so that different seeds give different users.",
        rich_help_panel=_WHO)] = None,
    songs: Annotated[int, typer.Option(min=MIN_SONGS, max=MAX_SONGS, help="Songs in the catalogue.",
                                       rich_help_panel=_WHAT)] = 10_000,
    omit: Annotated[list[str] | None, typer.Option(
        metavar="PAGE", help="Leave out a page that eventsim's example does not have: Skip, Pause, Thumbs Up, … May be "
                             "repeated.", rich_help_panel=_WHAT)] = None,
    classic: Annotated[bool, typer.Option(
        "--classic", help="Users as eventsim has them: no taste, no reason to skip or to leave, one clock for all.",
        rich_help_panel=_WHAT)] = False,
    scenario: Annotated[list[str] | None, typer.Option(
        metavar="NAME", help="Plant something to find, and say in the truth file what: " + ", ".join(SCENARIOS)
                             + ". May be repeated.", rich_help_panel=_WHAT)] = None,
    v2: Annotated[float | None, _share("v2", "Share of sessions in version 2 of the wire format.")] = None,
    v3: Annotated[float | None, _share("v3", "Share of sessions in version 3 of the wire format.")] = None,
    rate: Annotated[float | None, typer.Option(min=1, max=MAX_RATE, help="Live: this many records per second.",
                                               rich_help_panel=_HOW)] = None,
    live: Annotated[bool, typer.Option("--live", help="Live: one simulated second per second.",
                                       rich_help_panel=_HOW)] = False,
    out: Annotated[str, typer.Option(
        metavar="kafka|DIR", help="'kafka', or a folder for JSON lines: DIR/<topic>/part-….jsonl.",
        rich_help_panel=_HOW)] = "kafka",
    reference: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Folder for songs.csv, artists.csv, users.csv. Default: where the platform looks for them; "
                            "with --out DIR: DIR/reference.", rich_help_panel=_HOW)] = None,
    truth: Annotated[Path | None, typer.Option(
        metavar="FILE", help="Write what the gold marts must contain after this run, as JSON (see "
                             "docs/reference/marts.md).", rich_help_panel=_HOW)] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, rich_help_panel=_HOW,
                                         help="Worker processes. The events do not depend on their number.")] = 1,
    messy: Annotated[bool, typer.Option(
        "--messy", help="A realistic mix of disturbances, with --v2 and --v3. A share that is given as well wins.",
        rich_help_panel=_SHARE)] = False,
    duplicates: Annotated[float | None, _share("duplicates", "Records sent twice: same id, same bytes.")] = None,
    late: Annotated[float | None, _share("late", "Records delivered one hour to three days late.")] = None,
    out_of_order: Annotated[float | None, _share("out_of_order", "Records delivered up to five minutes late.")] = None,
    malformed: Annotated[float | None, _share("malformed", "Records that are not a JSON object.")] = None,
    invalid: Annotated[float | None, _share("invalid", "Records that are JSON but break the contract.")] = None,
    unknown_fields: Annotated[float | None, _share(
        "unknown_fields", "Records with fields that are not in the contract.")] = None,
    wrong_clocks: Annotated[float, typer.Option(
        min=0, max=1, help="Sessions whose clock is wrong: 22 hours fast, or back in 2010. Records then have simulated "
        "times: those of Kafka, or in DIR/<topic>/part-….times.", rich_help_panel=_SHARE)] = 0.0,
    hot_key: Annotated[float, typer.Option(
        min=0, max=1, help="Users who share one account, whose id is then a hot message key.",
        rich_help_panel=_SHARE)] = 0.0,
    burst: Annotated[list[str] | None, typer.Option(
        metavar="HOUR:MINUTES:FACTOR",
        help="A rush: from this hour of the run, for this many minutes, FACTOR times the usual session starts (and, "
             "with --rate, records per second). May be repeated.",
        rich_help_panel=_SHARE)] = None,
) -> None:  # fmt: skip
    """Simulate a music-streaming service and send its events.

    They go to Kafka, or to files with --out. Without --rate or --live it generates history as fast as it can. Some runs
    to start with:

    \b
    simulate --out /tmp/events       a week of 1000 users, as files
    simulate --users 20000 --days 30 --truth truth.json
                                     a month to Kafka, and what the marts must
                                     contain after it
    simulate --rate 200 --users 50000
                                     live, 200 records per second, for a day
                                     or until Ctrl-C
    simulate --messy                 a week with duplicates, late and malformed
                                     records
    """
    given = {
        "duplicates": duplicates, "late": late, "out_of_order": out_of_order, "malformed": malformed,
        "invalid": invalid, "unknown_fields": unknown_fields,
        "wrong_clocks": wrong_clocks, "v2": v2, "v3": v3, "hot_key": hot_key,
    }  # fmt: skip
    shares = {**(MESSY if messy else {}), **{name: share for name, share in given.items() if share is not None}}
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    paced = rate is not None or live
    if truth is not None and find_spec("duckdb") is None:
        raise BadOptionError(
            "--truth: DuckDB, which computes it, is not installed. Install the extra `local`, in the checkout: "
            "pip install ./packages/snowflake_local '.[local]'"
        )
    begin = _instant("--start", start) if start is not None else now if paced else Options().start
    options = Options(
        seed=seed, users=users, start=begin, days=_days(begin, days, end, 1 if paced and start is None else 7),
        events=events, songs=songs, growth=growth, id_base=id_base, **shares,
        bursts=tuple(Burst.parse(text) for text in burst or ()), omit=tuple(omit or ()), classic=classic,
        scenarios=tuple(scenario or ()),
    ).checked(now)  # fmt: skip
    pace: Pace = ByRate(rate, options.bursts) if rate is not None else ByClock() if live else AtOnce()
    _run(options, pace, paced, Target(out, reference, truth), workers, get_settings())


def _instant(option: str, text: str) -> datetime:
    """A day or an instant, UTC without zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadOptionError(
            f"{option} {text!r}: give a day or an instant, such as 2026-06-01 or 2026-06-01T08:00:00"
        ) from None
    whole = instant.replace(microsecond=0)
    return whole.astimezone(UTC).replace(tzinfo=None) if whole.tzinfo else whole


def _days(start: datetime, days: int | None, end: str | None, default: int) -> int:
    """Days of the run, from --days or --end."""
    if end is None:
        return default if days is None else days
    if days is not None:
        raise BadOptionError("--days and --end: give only one of them")
    until = _instant("--end", end)
    if until <= start:
        raise BadOptionError(f"--end {end}: must be after the start, {start.isoformat()}")
    if (until - start) % timedelta(days=1):
        raise BadOptionError(f"--end {end}: must be a whole number of days after the start, {start.isoformat()}")
    return (until - start).days


@dataclass(frozen=True)
class Target:
    """Where a run writes."""

    out: str
    reference: Path | None
    truth: Path | None

    @property
    def to_kafka(self) -> bool:
        """Whether records go to Kafka, not to files."""
        return self.out == "kafka"


def _run(options: Options, pace: Pace, paced: bool, target: Target, workers: int, settings: Settings) -> None:
    """Execute the run. Raises SinkError if something cannot be written."""
    folder = target.reference or (settings.reference_root if target.to_kafka else Path(target.out) / "reference")
    if target.truth and not target.truth.absolute().parent.is_dir():
        raise SinkError(f"cannot write {target.truth}: the folder {target.truth.absolute().parent} does not exist")
    world = World(options)
    with ExitStack() as stack:
        generation = stack.enter_context(Generation(world, Plan(workers, target.to_kafka, paced)))
        sink, where = _sink(options, paced, target, settings)
        if target.to_kafka:
            for line in settings.notices():
                _say(line)
        if paced:
            repeat = f"--start {options.start.isoformat()} --days {options.days}"
            _say(f"start {options.start.isoformat()} UTC; for the same events again, add {repeat} to the same options")
        if folder.is_relative_to(settings.home) and not settings.home.is_dir():
            raise SinkError(
                f"there is no platform at {settings.home}, where the reference data belongs: start it with "
                "`music-platform up`, or give --reference DIR"
            )
        try:
            write_catalogue(folder, world.catalogue)
            write_users(folder, world.population, world.clock, {})
        except OSError as error:
            raise SinkError(
                f"cannot write reference data to {folder}: {error.strerror}; choose another folder with --reference"
            ) from None
        log = None
        if target.truth:
            from music_simulator.truth.log import DeliveryLog

            folder_of_log = stack.enter_context(TemporaryDirectory(prefix="simulate-truth-"))
            log = DeliveryLog(Path(folder_of_log) / "log.parquet", world)
        stop = stack.enter_context(Stop())
        with Display(options, where, paced) as display:
            run = Run(options, generation, sink, pace, stop.requested, display.show, log)
            progress = run.carry_out()
        _say(summary(progress, where))
        if isinstance(sink, Retrying):
            _say(sink.retried())
        ended = progress.second if progress.total == options.events or progress.stopped else options.days * DAY
        registered = {who: at for who, at in generation.registrations().items() if at <= ended}
        if registered:
            write_users(folder, world.population, world.clock, registered)
        _say(f"reference data: {folder}")
        if target.truth and log:
            from music_simulator.truth.compute import write_truth

            log.close()
            write_truth(target.truth, log.path, run.lost, world, progress.stopped, generation.registrations(),
                        {who: at for who, at in generation.departures().items() if at <= ended})  # fmt: skip
            _say(f"truth: {target.truth}")
    if progress.lost:
        raise typer.Exit(1)


def _sink(options: Options, paced: bool, target: Target, settings: Settings) -> tuple[Sink, str]:
    """The sink, and its name in messages."""
    if target.to_kafka:
        from music_simulator.kafka import Kafka  # librdkafka is not needed for files

        return Kafka(settings), f"Kafka at {settings.bootstrap_servers}"
    run = f"s{options.seed}-{options.first_user}-{options.start:%Y%m%dT%H%M%S}"
    return Files(Path(target.out), run, publish_seconds=PUBLISH_SECONDS if paced else None), target.out


class Stop:
    """Handles Ctrl-C and SIGTERM: the first one ends the run cleanly, the second one at once."""

    def __init__(self) -> None:
        self._requested = False

    def __enter__(self) -> "Stop":
        self._before = {number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def requested(self) -> bool:
        """Whether the run should end."""
        return self._requested

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        print("\nstopping: flushing what is under way (Ctrl-C again stops at once)", file=sys.stderr, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
