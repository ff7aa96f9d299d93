"""What each user did on each date, as columns of numbers in one canonical order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from music_platform.learning.listens import codes

I32 = npt.NDArray[np.int32]

#: Counts of a user and date. `paid`: listens at a level other than free. `cancels`: confirmations of a cancellation.
COUNTS = ("plays", "streams", "skips", "collected", "paid", "adverts", "views", "logouts", "cancels")


@dataclass(frozen=True)
class UserDays:
    """A row for each user and date with any event of the user, in ascending order of both.

    `users` are the ids in ascending order, and `user` indexes them. `day`: days since 1970-01-01. Then COUNTS.
    """

    users: npt.NDArray[np.str_]
    user: I32
    day: I32
    plays: I32
    streams: I32
    skips: I32
    collected: I32
    paid: I32
    adverts: I32
    views: I32
    logouts: I32
    cancels: I32

    @classmethod
    def of(cls, table: pa.Table) -> "UserDays":
        """From columns user_id, activity_date and COUNTS, in any order of rows; no two of one user and date."""
        users, user = codes(table.column("user_id"))
        day = table.column("activity_date").cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int32)
        order = np.lexsort((day, user))
        counts = {name: table.column(name).cast(pa.int64()).to_numpy().astype(np.int32)[order] for name in COUNTS}
        return cls(users, user[order], day[order], **counts)

    def __len__(self) -> int:
        return len(self.user)

    def where(self, kept: npt.NDArray[np.bool_]) -> "UserDays":
        """The rows for which `kept` is true; the list of users stays."""
        return UserDays(
            self.users, self.user[kept], self.day[kept], **{name: getattr(self, name)[kept] for name in COUNTS}
        )

    def between(self, first: int, end: int) -> "UserDays":
        """The rows from day `first` to the day before `end`."""
        return self.where((self.day >= first) & (self.day < end))

    def total(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Sum over each user's rows."""
        return np.bincount(self.user, np.asarray(values, np.float64), len(self.users)).astype(np.float64)
