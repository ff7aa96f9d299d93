"""Streams as columns of numbers, in one canonical order."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

EPOCH = date(1970, 1, 1)


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def date_of(day: int) -> date:
    """The date of a day number."""
    return EPOCH + timedelta(days=day)


@dataclass(frozen=True)
class Listens:
    """Streams by user, song, date and whether the song was chosen from the user's own library.

    `users` and `songs` are the ids in ascending order; `user` and `song` index them. `day`: days since 1970-01-01.
    """

    users: npt.NDArray[np.str_]
    songs: npt.NDArray[np.str_]
    user: npt.NDArray[np.int32]
    song: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    collected: npt.NDArray[np.bool_]
    plays: npt.NDArray[np.int32]

    @classmethod
    def of(cls, table: pa.Table) -> "Listens":
        """From columns user_id, song_key, activity_date, is_collected and plays, in any order of rows."""
        users, user = codes(table.column("user_id"))
        songs, song = codes(table.column("song_key"))
        day = table.column("activity_date").cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int32)
        collected = table.column("is_collected").cast(pa.bool_()).to_numpy(zero_copy_only=False)
        plays = table.column("plays").cast(pa.int64()).to_numpy().astype(np.int32)
        order = np.lexsort((plays, collected, day, song, user))
        return cls(users, songs, user[order], song[order], day[order], collected[order], plays[order])

    def __len__(self) -> int:
        return len(self.user)

    def between(self, first: int, end: int) -> "Listens":
        """Those from day `first` to the day before `end`; the lists of users and songs stay."""
        kept = (self.day >= first) & (self.day < end)
        return self.where(kept)

    def where(self, kept: npt.NDArray[np.bool_]) -> "Listens":
        """Those for which `kept` is true."""
        return Listens(
            self.users, self.songs, self.user[kept], self.song[kept], self.day[kept], self.collected[kept],
            self.plays[kept],
        )  # fmt: skip

    def matrix(self, values: npt.ArrayLike | None = None) -> sparse.csr_matrix:
        """Users × songs: the sum of `values` (default: plays) of each pair, in 32 bits."""
        data = np.asarray(self.plays if values is None else values, dtype=np.float32)
        found = sparse.csr_matrix((data, (self.user, self.song)), shape=(len(self.users), len(self.songs)))
        found.sum_duplicates()
        return found


def codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.int32]]:
    """The distinct texts in ascending order, and the position of each row's text among them."""
    encoded = column.combine_chunks().cast(pa.string()).dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    names = np.asarray(encoded.dictionary.take(pa.array(order)).to_pylist(), dtype=object).astype(str)
    return names, rank[encoded.indices.to_numpy()]
