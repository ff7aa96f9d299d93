"""The command line: what it refuses and how, where it writes, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from music_platform.cli import app as music_platform
from music_simulator.__main__ import app
from music_simulator.options import MESSY, SHARES
from tests.support import slowdown
from tests.support.brute_force_oracle import Stream
from tests.unit.simulator.conftest import ROOT

TOMORROW = (datetime.now(UTC) + timedelta(days=1, hours=1)).strftime("%Y-%m-%d")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--late", "-0.1"], "'--late': Input should be greater than or equal to 0"),
        (["--duplicates", "1.5"], "'--duplicates': Input should be less than or equal to 1"),
        (["--v2", "2"], "'--v2': Input should be less than or equal to 1"),
        (["--malformed", ".6", "--invalid", ".6"], "--malformed and --invalid together"),
        (["--late", ".6", "--out-of-order", ".6"], "--late and --out-of-order together"),
        (["--users", "0"], "'--users': Input should be greater than or equal to 1"),
        (["--days", "0"], "'--days': Input should be greater than or equal to 1"),
        (["--days", "-3"], "'--days': Input should be greater than or equal to 1"),
        (["--events", "0"], "'--events': Input should be greater than or equal to 1"),
        (["--songs", "3"], "'--songs': Input should be greater than or equal to 10"),
        (["--seed", "-1"], "'--seed': Input should be greater than or equal to 0"),
        (["--rate", "0"], "'--rate': Input should be greater than or equal to 1"),
        (["--rate", "-5"], "'--rate': Input should be greater than or equal to 1"),
        (["--rate", "50001"], "'--rate': Input should be less than or equal to 50000"),
        (["--workers", "0"], "'--workers': Input should be greater than or equal to 1"),
        (["--growth", "-1"], "'--growth': Input should be greater than or equal to 0"),
        (["--id-base", "-1"], "'--id-base': Input should be greater than or equal to 0"),
        (["--users", "many"], "'--users': Input should be a valid integer"),
        (["--page", "Nowhere"], "No such option: --page"),
        (["--start", "yesterday"], "--start 'yesterday': give a day or an instant"),
        (["--start", "1999-01-01"], "--start 1999-01-01: must be 2005"),
        (["--start", TOMORROW], "ends more than 24 h from now"),
        (["--rate", "5", "--days", "7"], "start 20"),
        (["--start", "2026-03-02", "--end", "2026-03-01"], "--end 2026-03-01: must be after the start, 2026-03-02"),
        (["--start", "2026-03-02", "--end", "2026-03-03T01:00"], "must be a whole number of days after the start"),
        (["--end", "2026-06-03", "--days", "3"], "--days and --end: give only one of them"),
        (["--omit", "Nowhere"], "--omit 'Nowhere': cannot leave out this page; choose from Thumbs Up"),
        (["--growth", "20", "--days", "365"], "use less growth or fewer days"),
        (["--burst", "noon"], "--burst 'noon': give HOUR:MINUTES:FACTOR"),
        (["--burst", "1:60:0.5"], "FACTOR above 1"),
        (["--scenario", "riot"], "--scenario 'riot': there is no such scenario; choose from viral-hit"),
        (["--classic", "--scenario", "loopers"], "--classic and --scenario loopers: eventsim's users have no habits"),
        (["--users", "99999999"], "'--users': Input should be less than or equal to 50000000"),
    ],
)
def test_bad_options_give_one_clear_line(tmp_path: Path, options: list[str], said: str) -> None:
    result = CliRunner().invoke(music_platform, ["simulate", "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.startswith("error ")
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_bad_options_are_a_line_of_the_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "music_simulator", "--out", str(tmp_path), "--burst", "noon"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "error --burst 'noon': give HOUR:MINUTES:FACTOR, such as 12:30:5\n"


def test_a_truth_without_its_engine_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as if it were not installed
    options = ["--out", str(tmp_path / "out"), "--truth", str(tmp_path / "truth.json")]
    result = CliRunner().invoke(music_platform, ["simulate", *options])
    assert result.exit_code == 2
    assert "Install the extra `local`" in result.output
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_is_refused() -> None:
    assert CliRunner().invoke(app, ["--page", "Nowhere"]).exit_code == 2


def test_messy_is_a_mix_of_shares_that_single_ones_overrule(tmp_path: Path) -> None:
    """Read from the truth, which says which options made the events."""
    for name, options in {"messy": ["--messy", "--late", "0"], "clean": []}.items():
        truth = tmp_path / f"{name}.json"
        arguments = ["--out", str(tmp_path / name), "--truth", str(truth), "--days", "1", "--users", "20", *options]
        assert CliRunner().invoke(app, arguments).exit_code == 0
    messy, clean = (orjson.loads((tmp_path / f"{name}.json").read_bytes())["options"] for name in ("messy", "clean"))
    assert {name: messy[name] for name in MESSY} == {**MESSY, "late": 0}
    assert not any(clean[name] for name in SHARES)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for options in (["--out", str(tmp_path / "file")],
                    ["--out", str(tmp_path), "--reference", str(tmp_path / "file" / "x")],
                    ["--out", str(tmp_path), "--truth", str(tmp_path / "nowhere" / "truth.json")]):  # fmt: skip
        result = CliRunner().invoke(music_platform, ["simulate", *options, "--days", "1", "--users", "5"])
        assert result.exit_code == 1, result.output
        assert "cannot write" in result.output
        assert len(result.output.splitlines()) == 1


def test_no_broker_is_one_line_within_seconds() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "music_simulator"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert time.monotonic() - began < slowdown.seconds(15)
    assert f"Kafka at 127.0.0.1:{port} does not answer" in done.stderr
    assert "music-platform up" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_teaches() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
    for word in ("--seed", "--rate", "--truth", "--duplicates", "--burst", "HOUR:MINUTES:FACTOR", "simulate --out"):
        assert word in text


def test_files_and_reference_data(tmp_path: Path) -> None:
    out, reference = tmp_path / "out", tmp_path / "ref"
    result = CliRunner().invoke(
        app, ["--out", str(out), "--reference", str(reference), "--days", "1", "--users", "300"]
    )
    assert result.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "auth_events", "listen_events", "page_view_events", "status_change_events",
    ]  # fmt: skip
    assert sorted(path.name for path in reference.iterdir()) == ["artists.csv", "songs.csv", "users.csv"]
    assert all(path.name.startswith("part-s1-") and path.suffix == ".jsonl" for path in out.glob("*/*"))
    # The same run into the same folder replaces its own files; another seed adds its own.
    before = {path: path.read_bytes() for path in out.glob("*/*")}
    (out / "auth_events" / next(iter(before)).name.replace("-00000.", "-00009.")).write_text("of a longer run")
    CliRunner().invoke(app, ["--out", str(out), "--days", "1", "--users", "300"])
    assert {path: path.read_bytes() for path in out.glob("*_events/*")} == before
    CliRunner().invoke(app, ["--out", str(out), "--days", "1", "--users", "300", "--seed", "2"])
    assert len(list(out.glob("*_events/*"))) > len(before)


def test_more_workers_than_users(tmp_path: Path) -> None:
    runs = []
    for workers in ("1", "4"):
        out = tmp_path / workers
        options = ["--out", str(out), "--users", "2", "--growth", "0", "--days", "30", "--workers", workers]
        assert CliRunner().invoke(app, options).exit_code == 0
        runs.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")})
    assert runs[0] == runs[1]


def _ended_by(signals: list[signal.Signals], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Start a live run, send the signals after a while, and wait for its end."""
    arguments = [
        "--out",
        str(folder / "out"),
        "--truth",
        str(folder / "truth.json"),
        "--rate",
        "1500",
        "--start",
        "2026-03-02",
    ]
    run = subprocess.Popen(
        [sys.executable, "-m", "music_simulator", *arguments, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    page_views = folder / "out" / "page_view_events"
    deadline = time.monotonic() + slowdown.seconds(20)
    while time.monotonic() < deadline and not any(page_views.glob(".part-*")):
        time.sleep(0.1)
    time.sleep(slowdown.seconds(0.7))
    for one in signals:
        run.send_signal(one)
    _, errors = run.communicate(timeout=slowdown.seconds(30))
    return subprocess.CompletedProcess(run.args, run.returncode, "", errors)


def test_ctrl_c_ends_cleanly_and_the_truth_covers_what_was_delivered(tmp_path: Path) -> None:
    done = _ended_by([signal.SIGINT], tmp_path, "--workers", "2", "--duplicates", ".1", "--malformed", ".02")
    assert done.returncode == 0, done.stderr
    assert "stopped after" in done.stderr
    assert "--start 2026-03-02T00:00:00 --days 7" in done.stderr
    assert "Traceback" not in done.stderr
    truth = orjson.loads((tmp_path / "truth.json").read_bytes())
    assert truth["stopped_early"] is True
    stream = Stream(tmp_path / "out", ROOT / "dbt_project" / "seeds" / "device_patterns.csv")
    assert sum(count["records"] for count in stream.counts.values()) > 300
    for topic, counts in stream.counts.items():
        for name, count in counts.items():
            assert truth["counts"][name][topic] == count
    assert sum(row["plays"] for row in truth["marts"]["daily_summary"]) == len(stream.listens)
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_sigterm_ends_cleanly_too(tmp_path: Path) -> None:
    done = _ended_by([signal.SIGTERM], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stopped after" in done.stderr


def test_a_live_run_prints_its_start_and_stops_at_events(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--out", str(tmp_path), "--rate", "500", "--events", "100", "--users", "2000"])
    assert result.exit_code == 0, result.output
    began = datetime.fromisoformat(result.output.split("start ", 1)[1].split(" UTC", 1)[0])
    assert abs(datetime.now(UTC).replace(tzinfo=None) - began) < timedelta(minutes=1)
    lines = b"".join(path.read_bytes() for path in tmp_path.glob("*_events/*.jsonl")).splitlines()
    assert len(lines) == 100
    assert min(orjson.loads(line)["ts"] for line in lines) >= began.replace(tzinfo=UTC).timestamp() * 1000
