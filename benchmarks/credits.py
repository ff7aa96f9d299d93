"""Credits per day of a Snowflake warehouse, by LOAD_MIN_INTERVAL. `python -m benchmarks.credits` prints the table.

Computed from measured seconds of work (benchmarks.account). The prices are Snowflake's (docs.snowflake.com,
"Understanding compute cost"): an X-Small costs 1 credit an hour, billed per second while it runs, at least a minute
each time it is resumed.
"""

#: Credits of an X-Small in a whole day.
A_DAY = 24.0
#: Minimum seconds that a resumed warehouse is billed for.
MIN_BILLED_SECONDS = 60.0
#: The settings of the table, in seconds.
INTERVALS = (0.0, 60.0, 300.0)
#: Seconds of a load of one version and the live build after it, by the milliseconds that a statement takes longer than
#: on the local warehouse: `python -m benchmarks.account --history 20000`.
BUSY = {50: 1.0 + 21.1, 200: 2.2 + 36.9, 500: 4.8 + 78.3}


def awake_share(interval: float, busy: float, auto_suspend: float) -> float:
    """Share of the time that the warehouse is billed for while events arrive continuously.

    A load starts `interval` seconds after the previous one started, but not before that load and its build have
    finished, which takes `busy` seconds. The warehouse suspends itself after `auto_suspend` seconds without a
    statement.
    """
    cycle = max(interval, busy)
    if cycle - busy <= auto_suspend:
        return 1.0
    return max(busy + auto_suspend, MIN_BILLED_SECONDS) / cycle


def table(auto_suspend: float, hours: float = 24.0) -> list[str]:
    """Lines of a Markdown table: credits a day if events arrive for so many `hours` of it."""
    columns = " | ".join(f"{delay} ms a statement: {busy:.0f} s of work" for delay, busy in BUSY.items())
    head = [f"| `LOAD_MIN_INTERVAL` | {columns} |"]
    head.append(f"|---|{'---|' * len(BUSY)}")
    return head + [
        f"| {interval:.0f} s | "
        + " | ".join(f"{A_DAY * awake_share(interval, busy, auto_suspend) * hours / 24:.1f}" for busy in BUSY.values())
        + " |"
        for interval in INTERVALS
    ]


if __name__ == "__main__":
    from music_platform.warehouse.account import AUTO_SUSPEND

    print("\n".join(table(AUTO_SUSPEND)))
