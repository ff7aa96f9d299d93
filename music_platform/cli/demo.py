"""`music-platform demo`: the whole pipeline once, in a fresh home, and its results."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from music_platform.cli.terminal import console, current_settings, data_table
from music_platform.environment import child_environment, dagster_environment, variables_set, venv_bin
from music_platform.errors import PlatformError
from music_platform.home import Home
from music_platform.settings import Settings
from music_platform.stack.local_stack import LocalStack
from music_platform.stack.provision import provision

SEED, USERS, DAYS = 1, 1_000, 7
DATA_SERVICES = {"kafka", "spark", "warehouse"}

#: Steps of the run whose seconds are shown.
STEPS = {"drain": "  topics → lake → RAW", "models": "  RAW → silver → gold, with tests"}

#: Settings of a person's that the demo takes over: where tools are, and what they may use. None leads off this machine.
TOOLS = ("java_home", "jars_dir", "jvm_options", "spark_driver_memory")

#: Lines of a run's log that report its progress, and the part of them to show.
PROGRESS = re.compile(
    r"(\d[\d,]* records to read|micro-batch \d+: .*|version \d+ loaded: .*|\d+ of \d+ OK .*?) ?(?:\.{3,}|:|$)"
)
POLL_SECONDS = 0.3

TOP_SONGS = """
    SELECT song_title AS song, artist_name AS artist, SUM(plays) AS plays
    FROM GOLD.TOP_SONGS_DAILY GROUP BY song_key, song_title, artist_name ORDER BY plays DESC, song, artist LIMIT 5
"""
DAILY_ACTIVES = """
    SELECT activity_date AS date, daily_active_users AS users, active_users_7d AS last_7_days
    FROM GOLD.ACTIVE_USERS_DAILY ORDER BY activity_date
"""


class DemoError(PlatformError):
    """A step of the demo failed."""


@dataclass
class Clock:
    """Seconds that each step took, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a step and show that it is at work; yields a function that shows its progress."""
        started = time.monotonic()
        with console.status(f"{name} …") as spinner:
            yield lambda said: spinner.update(f"{name} … [dim]{escape(said)}[/]")
        self.seconds[name] = time.monotonic() - started
        console.print(f"[green]✓[/] {name} [dim]{self.seconds[name]:.1f} s[/]")


def demo(
    users: Annotated[int, typer.Option(min=1, help="Simulated users.")] = USERS,
    days: Annotated[int, typer.Option(min=1, help="Simulated days.")] = DAYS,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = SEED,
) -> None:
    """Run the whole pipeline once and print its results.

    Simulates, ingests, loads, builds and prints what the marts contain, with a real broker, real Spark and Snowflake's
    SQL. It runs on this machine only, whatever the settings say, in a fresh home, <MUSIC_HOME>/demo, on ports of its
    own, and stops what it started. The home stays, to look at.
    """
    settings = demo_settings(current_settings())
    home, clock = settings.home, Clock()
    _wipe(settings)
    stack = LocalStack(settings, console=console)
    try:
        with clock.step("start broker, Spark and warehouse"):
            stack.up(DATA_SERVICES, provision)
        environment = {**child_environment(stack.settings), **dagster_environment(stack.settings)}
        with clock.step(f"simulate {users:,} users for {days} days") as say:
            options = ["--seed", str(seed), "--users", str(users), "--days", str(days)]
            _run(
                [str(venv_bin() / "music-platform"), "simulate", *options],
                environment,
                home / "logs" / "simulate.log",
                say,
            )
        with clock.step("materialize the whole graph") as say:
            command = [str(venv_bin() / "dagster"), "asset", "materialize", "-m", "music_platform.definitions"]
            _run([*command, "--select", "*"], environment, home / "logs" / "materialize.log", say)
        with variables_set(dagster_environment(stack.settings)):
            _show(stack.settings, clock)
    finally:
        with console.status("stopping"):
            stack.down()
    console.print(
        f"\nAll stopped. To see it as charts: [bold]MUSIC_HOME={_short(home)} {_short(venv_bin() / 'music-platform')} "
        f"dashboard[/]. To look around: [bold]MUSIC_HOME={_short(home)} make up[/], then open the addresses that it "
        f"prints. Logs: {_short(home / 'logs')}"
    )


def demo_settings(given: Settings) -> Settings:
    """Settings of the demo's home with everything on this machine, for a person with these settings."""
    tools = {name: getattr(given, name) for name in TOOLS}
    own = {"music_home", "music_local_only", *TOOLS}
    return Settings.model_construct(_fields_set=own, music_home=given.home / "demo", music_local_only=True, **tools)


def _wipe(settings: Settings) -> None:
    """Stop and remove the last demo. Raises DemoError for a folder that is no home of the platform."""
    home = Home(settings.home)
    if not home.root.exists():
        return
    if not (home.format.is_file() or home.lock.is_file()) and any(home.root.iterdir()):
        raise DemoError(f"{home.root} is no home of the platform, so the demo does not replace it. Move it away.")
    LocalStack(settings).down()
    shutil.rmtree(home.root)


def _run(command: list[str], environment: dict[str, str], log: Path, say: Callable[[str], None]) -> None:
    """Run a program with its output in `log`, and show the progress that its lines report. Raises DemoError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        # Not in the checkout: Dagster's programs read the `.env` of the folder they start in, and let it win.
        process = subprocess.Popen(command, env=environment, cwd=log.parent, stdout=out, stderr=out)
    with log.open(errors="replace") as lines:
        try:
            while process.poll() is None:
                for line in lines:
                    if found := PROGRESS.search(line):
                        say(found[1])
                time.sleep(POLL_SECONDS)
        finally:
            # Ctrl-C: the program got it too and is given time to end as it should.
            process.wait(timeout=60)
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        name = " ".join([Path(command[0]).name, *command[1:3]])
        raise DemoError(f"`{name}` ended with exit code {process.returncode}. The end of {log}:\n{tail}")


def _show(settings: Settings, clock: Clock) -> None:
    from music_platform.lake.delta_log import DeltaTable
    from music_platform.lake.paths import events_path
    from music_platform.topics import topic_names, topic_offsets
    from music_platform.warehouse.connection import connect

    with connect(settings) as session:

        def rows(statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
            cursor = session.cursor()
            cursor.execute(statement)
            return [column.name.lower() for column in cursor.description], list(cursor.fetchall())

        def count(table: str) -> int:
            return int(rows(f"SELECT COUNT(*) FROM {table}")[1][0][0])

        _table("Top songs", *rows(TOP_SONGS))
        _table("Daily active users", *rows(DAILY_ACTIVES))
        counts = {
            "topics": topic_offsets(settings.kafka_client_config(), topic_names(settings).values()).records(),
            "lake": sum(version.rows for version in DeltaTable(events_path(settings.lake_root)).versions_after(-1)),
            "raw": count("RAW.EVENTS"),
            "silver": count("SILVER.EVENTS"),
            "listens": count("SILVER.LISTENS"),
        }
    _table("Events at each stage", ["stage", "events"], [(name, f"{number:,}") for name, number in counts.items()])
    seconds = {**clock.seconds, **_stage_seconds(settings)}
    _table("Seconds of each stage", ["stage", "seconds"], [(name, f"{s:.1f}") for name, s in seconds.items()])


def _stage_seconds(settings: Settings) -> dict[str, float]:
    """Seconds inside the materialization, as the run recorded them."""
    from music_platform.orchestration.store import open_store

    with open_store(settings) as store:
        taken = store.step_seconds()
    return {shown: taken[step] for step, shown in STEPS.items() if step in taken}


def _table(title: str, names: list[str], rows: list[tuple[Any, ...]]) -> None:
    console.print()
    console.print(data_table(names, rows, title=title, title_justify="left", title_style="bold"))


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
