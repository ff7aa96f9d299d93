"""Ticks of sensors and schedules that fail. Nothing else shows them: a failed tick starts no run that could fail."""

from dataclasses import dataclass

import dagster as dg

from music_platform.orchestration._dagster import InstigatorType, SerializableErrorInfo, TickStatus

#: Failures in a row that count. A sensor ticks again in seconds; a schedule's next tick may be a day away.
SENSOR_FAILURES, SCHEDULE_FAILURES = 3, 1
#: Seconds after which a failed tick is history: Dagster also keeps those of a sensor that no longer exists.
SENSOR_SECONDS, SCHEDULE_SECONDS = 3600.0, 2 * 86_400.0


@dataclass(frozen=True)
class FailingTicks:
    """A sensor or schedule whose latest ticks failed: the first and the last of those looked at (epoch seconds), and
    the last error's first line."""

    name: str
    since: float
    ended: float
    error: str


def failing_ticks(instance: dg.DagsterInstance, now: float) -> list[FailingTicks]:
    """Sensors and schedules whose latest finished ticks failed, by name."""
    failing = []
    for state in instance.all_instigator_state():
        is_sensor = state.instigator_type is InstigatorType.SENSOR
        wanted = SENSOR_FAILURES if is_sensor else SCHEDULE_FAILURES
        ticks = instance.get_ticks(
            state.instigator_origin_id,
            state.selector_id,
            after=now - (SENSOR_SECONDS if is_sensor else SCHEDULE_SECONDS),
            limit=wanted,
            statuses=[TickStatus.FAILURE, TickStatus.SUCCESS, TickStatus.SKIPPED],
        )
        if len(ticks) == wanted and all(tick.status is TickStatus.FAILURE for tick in ticks):
            first, last = ticks[-1], ticks[0]
            failing.append(FailingTicks(state.instigator_name, first.timestamp, last.timestamp, _cause(last.error)))
    return sorted(failing, key=lambda each: each.name)


def _cause(error: SerializableErrorInfo | None) -> str:
    """The first line of the error that the code raised. Dagster's own around it only names the sensor."""
    while error and error.cause:
        error = error.cause
    lines = error.message.strip().splitlines() if error else []
    return lines[0] if lines else "no details"
