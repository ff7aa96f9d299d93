"""Decisions of the automation, as pure functions of what the sensors have read."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """Whether to start a run, and why, in words for the UI."""

    start: bool
    reason: str


#: Seconds of pause after the first, second, third … failure in a row; from the last on it stays.
PAUSES = (60, 300, 900, 3600)


def pause_after(failures: int) -> int:
    """Seconds to wait after so many failures in a row, so that what fails for ever does not run for ever."""
    return PAUSES[min(failures, len(PAUSES)) - 1] if failures else 0


def decide_ingest(
    kafka_records: int, lake_records: int, threshold: int, in_flight: bool, failures: int = 0, idle_seconds: float = 0
) -> Decision:
    """Start a run when either stage has a backlog of at least `threshold` records and none is in flight.

    `kafka_records` wait in the topics, `lake_records` are in the lake but not in RAW. What is in the lake is loaded
    whatever the threshold: a run that died between the two must not wait for new records. After `failures` runs that
    failed in a row the next one waits; `idle_seconds` have gone by since the last of them ended.
    """
    said = f"{kafka_records:,} records in Kafka and {lake_records:,} in the lake are not in RAW"
    if in_flight:
        return Decision(False, f"{said}; a run is at it")
    if (pause := pause_after(failures) - idle_seconds) > 0 and (kafka_records or lake_records):
        return Decision(False, f"{said}; {failures} runs in a row have failed, the next starts in {pause:.0f} s")
    if lake_records > 0 or kafka_records >= threshold:
        return Decision(True, said)
    if kafka_records:
        return Decision(False, f"{said}; LAG_THRESHOLD_RECORDS is {threshold:,}")
    return Decision(False, "nothing to do: every record is in RAW")


def decide_build(now: str, built: str | None, in_flight: bool, failures: int = 0, idle_seconds: float = 0) -> Decision:
    """Start a build of the models when what they are made from is not what the last build was made from.

    `now` and `built` name the inputs (see `inputs`); a build, or a run that changes its inputs, must not be in flight.
    """
    if now == built:
        return Decision(False, f"nothing to do: the models are built from {now}")
    said = f"the models are built from {built or 'nothing yet'}, there is {now}"
    if in_flight:
        return Decision(False, f"{said}; a run is at it")
    if (pause := pause_after(failures) - idle_seconds) > 0:
        return Decision(False, f"{said}; {failures} runs in a row have failed, the next starts in {pause:.0f} s")
    return Decision(True, said)
