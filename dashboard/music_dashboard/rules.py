"""«How is this counted»: the sections of docs/reference/marts.md, shipped with the dashboard as rules.json.

`make contract` writes the file; a test holds the two together. Inside Snowflake there is no docs folder.
"""

import json
import re
import sys
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("rules.json")
_HEADING = re.compile(r"^### (\w+)\n+(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_NUMBERED = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)
_MENTIONED = re.compile(r"\brules? (\d+)(?: and (\d+))?")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def rules_of(document: str) -> dict[str, str]:
    """Heading → its text in Markdown, with the numbered rules that it names. Links are left out: they lead nowhere."""
    numbered = dict(_NUMBERED.findall(document))
    found = {}
    for name, text in _HEADING.findall(document):
        named = sorted({number for pair in _MENTIONED.findall(text) for number in pair if number}, key=int)
        parts = [text.strip(), *(f"**Rule {number}.** {numbered[number]}" for number in named if number in numbered)]
        found[name] = _LINK.sub(r"\1", "\n\n".join(parts))
    return found


def rendered(document: str) -> str:
    """The content of rules.json."""
    return json.dumps(rules_of(document), indent=1, ensure_ascii=False) + "\n"


@cache
def _rules() -> dict[str, str]:
    found: dict[str, str] = json.loads(FILE.read_text())
    return found


def rule(name: str) -> str:
    """How a mart is counted, in Markdown. Raises KeyError for a heading that there is not."""
    return _rules()[name]


if __name__ == "__main__":
    FILE.write_text(rendered(Path(sys.argv[1]).read_text()))
