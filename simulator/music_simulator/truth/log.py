"""The log of a run: one compact row for each delivered record, spilled to Parquet."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from music_simulator.disturbances import RECORD, Records, claimed_seconds
from music_simulator.generation import World
from music_simulator.users import Population
from music_simulator.wire import event_ids, heard_seconds, playback_sources, session_ids

_COPIED = (
    "due", "item", "state", "song", "place", "kind", "login", "fault", "delay", "copy", "version", "unknown",
    "driven",
)  # fmt: skip


class DeliveryLog:
    """Appends delivered records; row n is the n-th record of the run. Memory is bounded: each batch goes to disk."""

    def __init__(self, path: Path, world: World) -> None:
        self.path, self._population, self._start = path, world.population, world.clock.start_epoch
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0

    def append(self, records: Records) -> None:
        """The next records, in the order of delivery."""
        table = pa.table({name: pa.array(values) for name, values in self._columns(records, self._population).items()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._rows += len(records)

    def close(self) -> None:
        """Close the file. An empty run has one without rows."""
        if self._writer is None:
            self.append(np.empty(0, dtype=RECORD))
        if self._writer is not None:
            self._writer.close()

    def _columns(
        self, records: Records, population: Population
    ) -> dict[str, np.ndarray[tuple[int], np.dtype[np.generic]] | list[str]]:
        who = records["who"].astype(np.int64)
        agent_kind = population.devices.kind_of_agent[population.user_agent(who)]
        device = np.where(records["version"] >= 2, population.device(who, population.user_agent(who)), agent_kind)
        heard = heard_seconds(records)
        return {
            "number": np.arange(self._rows, self._rows + len(records), dtype=np.int64),
            "claimed": claimed_seconds(records, self._start),
            **{name: np.ascontiguousarray(records[name]) for name in _COPIED},
            "event_id": [text.decode() for text in event_ids(records["identity"])],
            "who": who,
            "registration": np.where(
                who < population.options.users, population.profile(population.account(who)).registration, 0
            ),
            "user_number": population.user_id(who),
            "session_id": session_ids(records, population),
            "listened_e6": np.where(np.isnan(heard), -1, np.rint(np.nan_to_num(heard) * 1e6)).astype(np.int64),
            "source": playback_sources(records, population),
            "device": device.astype(np.int16),
            "gender": population.profile(population.account(who)).gender.astype(np.int8),
        }
