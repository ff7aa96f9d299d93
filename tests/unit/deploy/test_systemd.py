"""The systemd units: they run commands that exist, as a user of their own, and come back after whatever ended them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from music_platform.cli.main import COMMANDS
from music_platform.environment import project_root

UNITS = sorted((project_root() / "deploy" / "systemd").glob("*.service"))


class Unit(configparser.RawConfigParser):
    def __init__(self, file: Path) -> None:
        super().__init__(strict=False)
        self.read(file)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_units_run_known_commands_and_come_back(file: Path) -> None:
    service = Unit(file)["Service"]
    words = service["ExecStart"].split()
    assert words[0].endswith("/.venv/bin/music-platform")
    assert words[1] in {entry.name for entry in COMMANDS}
    assert service["Restart"] == "always"
    assert service["User"] == "music"
    # SIGTERM reaches the main process alone, which ends the others in its own order.
    assert service["KillMode"] == "mixed"
    assert Unit(file)["Unit"]["StartLimitIntervalSec"] == "0"
    assert Unit(file)["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_units_hold_no_secret_and_few_rights(file: Path) -> None:
    service = Unit(file)["Service"]
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert not re.search(r"(PASSWORD|SECRET|TOKEN)=", file.read_text())
    assert "MUSIC_SECRETS_DIR=/etc/music-platform/secrets" in service["Environment"]


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_reads_the_units(file: Path, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed: the units are checked by the rules above alone")
    # A program that exists, as the unit's own does only on the server.
    copied = tmp_path / file.name.replace("@.", "@code.")
    copied.write_text(re.sub(r"/opt/music-platform/\S+music-platform", "/bin/true", file.read_text()))
    done = subprocess.run([tool, "verify", "--man=no", str(copied)], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "manager" in done.stderr:
        pytest.skip(f"systemd-analyze cannot work here: {done.stderr.strip()[:200]}")
    complaints = [line for line in done.stderr.splitlines() if copied.name in line]
    assert complaints == []
