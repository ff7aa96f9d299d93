"""Every mart equals an independent computation over the same events, in one batch or in many."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

import pytest

from tests.integration.marts.conftest import Simulation, simulated
from tests.support.lake import Lake, Record, records_of, rows_of
from tests.support.topics_oracle import assert_topics
from tests.support.truth import assert_truth
from tests.support.warehouse import TestWarehouse, assert_same

#: After the last simulated event, so that no event lies ahead of its record.
PRODUCED = datetime(2026, 7, 20)


def cut(records: Sequence[Record], count: int, seed: int) -> list[list[Record]]:
    """Batches of random size, each topic in its order; a few records change places with ones far away."""
    chance = random.Random(seed)
    ends = sorted(chance.random() for _ in range(count - 1))
    size = {topic: sum(1 for r in records if r.topic == topic) for topic in {r.topic for r in records}}
    batches: list[list[Record]] = [[] for _ in range(count)]
    for record in records:
        usual = bisect_left(ends, record.offset / size[record.topic])
        batches[chance.randrange(count) if chance.random() < 0.02 else usual].append(record)
    return batches


def test_one_batch_and_six_give_the_truth_and_the_same_silver(warehouse: TestWarehouse, simulation: Simulation) -> None:
    records = records_of(simulation.folder, PRODUCED)
    lake = Lake(warehouse.scratch / "lake")
    warehouse.load_reference(simulation.folder / "reference")
    for batch in cut(records, 6, seed=1):
        lake.append(rows_of(batch))
        warehouse.load(lake.root)
        warehouse.build()
    assert_truth(warehouse, simulation.truth)
    assert_topics(warehouse, simulation.folder)
    in_six = warehouse.snapshot()

    warehouse.build("--full-refresh")
    assert_truth(warehouse, simulation.truth)
    assert_same(warehouse.snapshot(), in_six)

    quarantined = sum(simulation.truth["counts"][name][topic] for name in ("malformed", "invalid")
                      for topic in simulation.truth["counts"]["records"])  # fmt: skip
    copies = warehouse.value("select count(*) from RAW.EVENTS where quarantine_reason is not null")
    assert warehouse.value("select count(*) from SILVER.QUARANTINE") == copies >= quarantined > 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_fifty_batches_with_the_catalogue_changing_in_the_middle(warehouse: TestWarehouse, seed: int) -> None:
    options = ("--users", "120", "--days", "37", "--start", "2026-05-20", "--songs", "600")
    simulation = simulated(warehouse.scratch / "events", "--seed", str(seed), *options)
    folder = simulation.folder / "reference"
    whole = {name: (folder / name).read_text() for name in ("songs.csv", "artists.csv")}
    halved = {
        name: "".join(line for n, line in enumerate(text.splitlines(keepends=True)) if n == 0 or n % 2)
        for name, text in whole.items()
    }
    lake = Lake(warehouse.scratch / "lake")
    for number, batch in enumerate(cut(records_of(simulation.folder, PRODUCED), 50, seed)):
        if number in (0, 30):
            for name, text in (halved if number == 0 else whole).items():
                (folder / name).write_text(text)
            warehouse.load_reference(folder)
        lake.append(rows_of(batch))
        warehouse.load(lake.root)
        warehouse.build()
    assert_truth(warehouse, simulation.truth)
    in_fifty = warehouse.snapshot()
    warehouse.build("--full-refresh")
    assert_same(warehouse.snapshot(), in_fifty)
