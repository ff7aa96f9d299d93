"""What an account's distance costs: seconds of a load and of a live build where each statement takes longer.

    python -m benchmarks.account [--delays 0,50,200,500] [--history 200000] [--new 2000] [--versions 100]

No account can be had here, so the local warehouse waits before each statement, as the way to an account and its
compiler would (`snowflake_local --statement-delay-seconds`). The work itself is DuckDB's on this machine: what an
X-Small takes for it is not measured. Loads use PUT, whose uploads are statements of their own in the local warehouse.
"""

import argparse
import time

from benchmarks.marts import Warehouse, warehouse


def measured(running: Warehouse, new: int, versions: int, seed: int) -> dict[str, tuple[float, int]]:
    """Seconds and statements of a load of one version, of a load of many, and of the live build after each."""
    found = {}
    for name, count in (("one version", 1), (f"{versions} versions", versions)):
        for number in range(count):
            running.lake.append_new(max(1, new // count), seed + number)
        seed += count
        for what, work in (
            (f"load of {name}", running.load),
            (f"live build of {name}", lambda: running.dbt("build", "--selector", "live")),
        ):
            before, started = running.statements(), time.monotonic()
            work()  # type: ignore[operator]
            found[what] = time.monotonic() - started, running.statements() - before
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.account", description=__doc__)
    parser.add_argument("--delays", default="0,50,200,500", help="milliseconds, with commas between")
    parser.add_argument("--history", type=int, default=200_000)
    parser.add_argument("--new", type=int, default=2_000)
    parser.add_argument("--versions", type=int, default=100)
    wanted = parser.parse_args()
    delays = [int(text) for text in wanted.delays.split(",")]
    table: dict[str, list[tuple[float, int]]] = {}
    for delay in delays:
        with warehouse(delay / 1000) as running:
            running.lake.append_history(wanted.history)
            running.load()
            running.dbt("seed")
            running.dbt("build")
            measured(running, wanted.new, 1, seed=2)  # to warm up
            for name, figures in measured(running, wanted.new, wanted.versions, seed=1_000).items():
                table.setdefault(name, []).append(figures)
    print("| seconds, each statement longer by … | statements | " + " | ".join(f"{d} ms" for d in delays) + " |")
    print("|---|---|" + "---|" * len(delays))
    for name, row in table.items():
        print(f"| {name} | {row[0][1]} | " + " | ".join(f"{seconds:.1f}" for seconds, _ in row) + " |")


if __name__ == "__main__":
    main()
