"""A home of another format is refused before anything is touched, with the command to run."""

import json
from pathlib import Path

import pytest

from music_platform.errors import LocalStackError
from music_platform.home import Home
from music_platform.stack import format as home_format
from music_platform.stack.local_stack import LocalStack
from tests.support.stack import settings_for


def test_a_home_without_a_format_is_one_from_before_there_were_formats(tmp_path: Path) -> None:
    home_format.require_known(Home(tmp_path))
    home_format.note(Home(tmp_path))
    home_format.require_known(Home(tmp_path))
    assert json.loads((tmp_path / "format.json").read_text()) == {"format": home_format.FORMAT}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"format": 99}', r"newer music-platform \(format 99.*MUSIC_HOME=/another/folder music-platform up"),
        ('{"format": 0}', r"has format 0.*music-platform rebuild"),
        ("", r"Cannot read the home's format"),
        ("[]", r"Cannot read the home's format"),
    ],
)
def test_up_refuses_a_home_that_it_does_not_know(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "format.json").write_text(content)
    with pytest.raises(LocalStackError, match=complaint):
        LocalStack(settings_for(tmp_path)).up({"warehouse"})
    assert {path.name for path in tmp_path.iterdir()} == {"format.json", "stack.lock"}
