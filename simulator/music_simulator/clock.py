"""Simulated time: whole seconds since the start of the run, and at what times of the day and week people listen.

The service has one clock. eventsim calls it local time and writes it as if it were UTC, and so do we. The fewest
sessions start at 3 am: each start is shifted along a sine that stretches the night and compresses the afternoon. On
weekends and holidays a share of the starts is dropped, with a ramp of six hours around midnight. Both work as in
eventsim's TimeUtilities and use its figures.
"""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from music_simulator.randomness import F64, I64

DAY = 86_400
YEAR = 365.25 * DAY
#: Largest shift of a session's start, as a share of a day, and the second of the day with the fewest starts.
DAILY_SWING, TROUGH_SECOND = 0.09375, 3 * 3600
#: Share of the session starts dropped on weekends and holidays, and length of the ramp around midnight in seconds.
WEEKEND_LOSS, RAMP_SECONDS = 0.5, 6 * 3600


def _weekday_of_month(year: int, month: int, weekday: int, nth: int) -> date:
    """The nth (from 1; -1: the last) occurrence of a weekday (Monday = 0) in a month."""
    if nth > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def holidays(year: int) -> set[date]:
    """Federal holidays of the United States (5 U.S.C. 6103), without substitutes for weekends."""
    return {
        date(year, 1, 1), _weekday_of_month(year, 1, 0, 3), _weekday_of_month(year, 2, 0, 3),
        _weekday_of_month(year, 5, 0, -1), date(year, 6, 19), date(year, 7, 4), _weekday_of_month(year, 9, 0, 1),
        _weekday_of_month(year, 10, 0, 2), date(year, 11, 11), _weekday_of_month(year, 11, 3, 4), date(year, 12, 25),
    }  # fmt: skip


class Clock:
    """The calendar of a run: `start` is second 0."""

    def __init__(self, start: datetime, days: int) -> None:
        self.start_epoch = int(start.replace(tzinfo=UTC).timestamp())
        self.seconds = days * DAY
        first = (start - timedelta(days=3)).date()
        span = [first + timedelta(days=i) for i in range(days + 400)]
        free = {day for year in {d.year for d in span} for day in holidays(year)}
        self._quiet = np.array([d.weekday() >= 5 or d in free for d in span], dtype=np.float64)
        self._calendar_start = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())

    def epoch_ms(self, seconds: npt.NDArray[np.int64]) -> I64:
        """Epoch milliseconds of simulated seconds."""
        milliseconds: I64 = (seconds + self.start_epoch) * 1000
        return milliseconds

    def loss(self, seconds: I64) -> F64:
        """Share of the session starts dropped at each instant, by the quiet time within three hours of it."""
        shifted = seconds + (self.start_epoch - self._calendar_start + RAMP_SECONDS // 2)
        day = np.clip(shifted // DAY, 1, len(self._quiet) - 1)
        ramp = np.minimum((shifted % DAY) / RAMP_SECONDS, 1.0)
        loss: F64 = WEEKEND_LOSS * (ramp * self._quiet[day] + (1.0 - ramp) * self._quiet[day - 1])
        return loss

    def swung(self, seconds: I64) -> I64:
        """The instants, shifted along the daily cycle."""
        of_day = (seconds + self.start_epoch) % DAY
        swing = DAILY_SWING * DAY * np.sin((of_day - TROUGH_SECOND) * (2 * np.pi / DAY))
        moved: I64 = seconds + swing.astype(np.int64)
        return moved
