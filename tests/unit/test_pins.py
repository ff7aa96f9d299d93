"""What is installed is what was locked: checksums for every package, commits for every action."""

import re

import yaml

from music_platform.environment import project_root

ROOT = project_root()


def test_every_locked_package_has_a_version_and_checksums() -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text().strip())
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[\w.\[\]-]+==[\w.!+-]+( ; [^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:80]
    # Built in isolation, where only a constraint of the build holds it.
    assert any(entry.startswith("setuptools==") for entry in entries)
    assert "-b constraints.txt" in (ROOT / "Makefile").read_text()


def test_every_action_is_pinned_to_a_commit() -> None:
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for workflow in workflows:
        jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
        used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
        assert not [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)]


def test_no_page_names_a_package_of_the_platform_that_nobody_publishes() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "music_platform").rglob("*.py")]
    wrong = re.compile(r"pip install [^\n]*?(?<![./])\bmusic-platform\[")
    assert not [page for page in pages if wrong.search(page.read_text())]
