"""What each user played of each song on each date, as columns of numbers in one canonical order."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from music_platform.learning.listens import codes

I32 = npt.NDArray[np.int32]

#: Counts of a user, date and song. `cut`: left for another song soon after 30 seconds and well before the end, without
#: a skip. `seconds`: heard.
COUNTS = ("plays", "streams", "cut", "skips", "collected", "seconds")


@dataclass(frozen=True)
class Plays:
    """A row for each user, date and song, in ascending order of the three; `users` and `songs` are ascending too."""

    users: npt.NDArray[np.str_]
    songs: npt.NDArray[np.str_]
    user: I32
    day: I32
    song: I32
    plays: I32
    streams: I32
    cut: I32
    skips: I32
    collected: I32
    seconds: I32

    @classmethod
    def of(cls, table: pa.Table) -> "Plays":
        """From columns user_id, activity_date, song_key and COUNTS, in any order; each of the three at most once."""
        (users, user), (songs, song) = codes(table.column("user_id")), codes(table.column("song_key"))
        day = table.column("activity_date").cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int32)
        order = np.lexsort((song, day, user))
        counts = {name: table.column(name).cast(pa.int64()).to_numpy().astype(np.int32)[order] for name in COUNTS}
        return cls(users, songs, user[order], day[order], song[order], **counts)

    def __len__(self) -> int:
        return len(self.user)

    def where(self, kept: npt.NDArray[np.bool_]) -> "Plays":
        """The rows for which `kept` is true; the lists of users and songs stay."""
        return Plays(
            self.users, self.songs, self.user[kept], self.day[kept], self.song[kept],
            **{name: getattr(self, name)[kept] for name in COUNTS},
        )  # fmt: skip
