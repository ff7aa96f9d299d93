"""CI: actions are pinned, tokens may do little, and what is called exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from music_platform.cli.main import COMMANDS
from music_platform.environment import project_root

WORKFLOWS = sorted((project_root() / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_pin_actions_and_ask_for_little(file: Path) -> None:
    text = file.read_text()
    for used in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", used), used
    workflow: dict[str, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 180, name
        writes = [scope for scope, level in job.get("permissions", {}).items() if level == "write"]
        assert writes in ([], ["pull-requests"]), name
    # A title or a branch's name of a stranger must not become a part of a script.
    scripts = re.findall(r"run: \|\n((?:\s{10,}.*\n)+)|run: (.+)", text)
    assert not any("${{ github" in "".join(script) for script in scripts)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_call_what_exists(file: Path) -> None:
    text = file.read_text()
    known = {entry.name for entry in COMMANDS}
    assert set(re.findall(r"bin/music-platform (\w[\w-]*)", text)) <= known
    targets = set(re.findall(r"^([a-z-]+):", (project_root() / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"run: make ([a-z-]+)", text)) <= targets
    for matrix in re.findall(r"target: \[(.+)\]", text):
        assert {target.strip() for target in matrix.split(",")} <= targets
