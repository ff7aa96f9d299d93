"""What the doctor finds: how a thing stands, and what to do where it does not."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """GOOD, worth knowing (NOTE), or in the way (BAD)."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: about what, how it stands, what was found where, and what to do next."""

    what: str
    verdict: Verdict
    found: str
    advice: str = ""
