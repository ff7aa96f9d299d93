"""The doctor's findings: the state of a thing, and what to do if it is wrong."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """GOOD, worth knowing (NOTE), or a problem (BAD)."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: its subject, the verdict, what was found where, and what to do next."""

    what: str
    verdict: Verdict
    found: str
    advice: str = ""
