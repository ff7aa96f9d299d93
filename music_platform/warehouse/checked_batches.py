"""Which batches of RAW a blocking check has passed, which range it refuses, and which refused rows a person accepted.

A verdict must not lapse because time passes: the rows that a check refused stay refused, and are judged again by each
run of the check, until they are fixed or accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_platform.errors import PlatformError
from music_platform.warehouse.schema import CHECKED_BATCHES, literal

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection


class NothingRefusedError(PlatformError):
    """No check refuses rows."""


@dataclass(frozen=True)
class Batches:
    """A range of batches (`batch_id`, the lake's version), `first` to `last` inclusive."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"batch {self.first}" if self.first == self.last else f"batches {self.first} to {self.last}"


def passed_up_to(check: str) -> str:
    """Query of the last batch that the check need not look at again; -1 if there is none."""
    return (
        f"SELECT COALESCE(MAX(last_batch), -1) FROM {CHECKED_BATCHES} "
        f"WHERE check_name = {literal(check)} AND (passed OR accepted_by IS NOT NULL)"
    )


def note(check: str, batches: Batches, passed: bool) -> list[str]:
    """Statements that note the verdict on these batches, in place of the ones that it makes obsolete."""
    obsolete = "" if passed else " AND NOT passed"
    return [
        f"DELETE FROM {CHECKED_BATCHES} WHERE check_name = {literal(check)} AND accepted_by IS NULL{obsolete}",
        f"INSERT INTO {CHECKED_BATCHES} (check_name, first_batch, last_batch, passed, checked_at) "
        f"SELECT {literal(check)}, {batches.first}, {batches.last}, {passed}, SYSDATE()",
    ]


def refused(session: "SnowflakeConnection") -> dict[str, Batches]:
    """The batches that each check refuses."""
    found: Any = (
        session.cursor()
        .execute(
            f"SELECT check_name, first_batch, last_batch FROM {CHECKED_BATCHES} "
            "WHERE NOT passed AND accepted_by IS NULL ORDER BY 1"
        )
        .fetchall()  # type: ignore[union-attr]
    )
    return {str(check): Batches(int(first), int(last)) for check, first, last in found}


def accept(session: "SnowflakeConnection", checks: Sequence[str], who: str) -> None:
    """Note that a person accepts what these checks refuse."""
    names = ", ".join(map(literal, checks))
    session.cursor().execute(
        f"UPDATE {CHECKED_BATCHES} SET accepted_by = {literal(who)}, checked_at = SYSDATE() "
        f"WHERE NOT passed AND accepted_by IS NULL AND check_name IN ({names})"
    )
