"""The documentation: the generated reference leaves nothing out, the site is strict and asks no other server."""

import importlib.util
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
import typer
from markdown.extensions.toc import slugify
from typer.core import TyperGroup

from music_platform.cli import app
from music_platform.contracts import events
from music_platform.environment import project_root
from music_platform.settings import Settings
from tests.support import slowdown

ROOT = project_root()
#: Folders of the checkout; those of one machine begin with a dot.
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The hook that mkdocs loads by its path."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`make docs`, into another folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=slowdown.seconds(120))


def test_every_setting_is_in_the_reference(generate: ModuleType) -> None:
    text = generate.settings()
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(rows) == [name.upper() for name in Settings.model_fields]
    secret = {name.upper() for name, field in Settings.model_fields.items() if not field.repr}
    assert {name for name, line in rows.items() if "**Secret.**" in line} == secret
    assert len(re.findall("^## ", text, re.MULTILINE)) > 5, "the groups of the class are not found"


def test_every_metric_is_in_the_reference(generate: ModuleType) -> None:
    text = (ROOT / "dbt_project/models/metrics/metrics.yml").read_text()
    names = re.findall(r"name: (\w+), label|- name: (\w+)$", text, re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|", generate.metrics(), re.MULTILINE)
    assert rows == [one or other for one, other in names]
    assert len(rows) >= 20


def test_every_command_is_in_the_reference(generate: ModuleType) -> None:
    text = generate.command_line()
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    context = typer.Context(group)
    names = group.list_commands(context)
    listed = {name for name in names if not getattr(group.get_command(context, name), "hidden", False)}
    assert {"up", "simulate", "redrive"} <= listed
    assert {heading.split()[0] for heading in re.findall(r"^### (.+)$", text, re.MULTILINE)} == listed
    assert "`--seed <int>`" in text, "the options of a command that is imported on call are missing"


def test_every_field_is_in_the_reference(generate: ModuleType) -> None:
    text = generate.contract()
    assert all(f"| `{field.path}` |" in text for field in events.FIELDS)
    assert all(f"| `{column.column}` |" in text for column in (*events.ORIGIN_COLUMNS, *events.LOAD_COLUMNS))


class Requests(HTMLParser):
    """Addresses that a browser asks for by itself to show a page; where a link leads is no matter."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if value and name in ("src", "srcset", "data", "poster")]
        self.found += [value for name, value in attrs if value and tag == "link" and name == "href"]


def test_the_site_builds_and_asks_no_other_server(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        # The theme would fetch the library for these from a content delivery network.
        assert 'class="mermaid"' not in text, page
        requests = Requests()
        requests.feed(text)
        assert not [address for address in requests.found if re.match(r"(https?:)?//", address)], page


def test_a_dead_link_and_a_dead_anchor_fail_the_build(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "benchmarks.md").open("a") as page:
        page.write("\n[gone](gone.md) and [nowhere](reference/settings.md#no_such_setting)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "gone.md" in done.stderr
    assert "no_such_setting" in done.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_pages_beside_the_site_lead_somewhere(name: str) -> None:
    for path, anchor in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
        target = ROOT / (path or name)
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [slugify(heading, "-") for heading in headings], f"{path}#{anchor}"


def pages() -> list[Path]:
    """The pages of the site, and those beside it."""
    named = re.findall(r"^ +- .*?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    site = [ROOT / "docs" / name for name in named]
    assert len(site) > 15
    return [*site, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def test_files_and_folders_that_a_page_names_exist() -> None:
    gone = []
    for page in pages():
        for code in re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")):
            for word in code.replace("::", " ").split():
                path = word.strip(",;:")
                # <placeholders> and … are no names; `lake/` and its like are short for a folder of their section.
                if path.partition("/")[0] in FOLDERS and "/" in path and not re.search("[<…*]", path):
                    gone += [] if (ROOT / path).exists() else [f"{page.relative_to(ROOT)}: {path}"]
    assert not gone
