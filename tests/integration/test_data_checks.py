"""The data checks on the real warehouse find what is wrong, with figures and coordinates."""

import subprocess

import dagster as dg

from music_platform.contracts import events
from music_platform.definitions import build_defs
from music_platform.environment import venv_bin
from tests.integration.conftest import Platform
from tests.integration.test_chain import GOOD

SAME_ID = b'{"eventId": "one", ' + GOOD[1:]
OTHER_CONTENT = SAME_ID.replace(b'"artist": "A"', b'"artist": "B"')
UNKNOWN_FIELD = b'{"mood": "blue", ' + GOOD[1:]


def evaluations(platform: Platform, job: str) -> dict[str, dg.AssetCheckEvaluation]:
    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        done = build_defs(platform.settings).resolve_job_def(job).execute_in_process(instance=instance)
    return {evaluation.check_name: evaluation for evaluation in done.get_asset_check_evaluations()}


def test_checks_whole_tables_and_the_report_say_what_is_wrong_and_where(platform: Platform) -> None:
    platform.produce([(events.LISTEN, value) for value in (GOOD, b"broken", SAME_ID, OTHER_CONTENT, UNKNOWN_FIELD)])
    platform.run("everything")
    found = evaluations(platform, "quality")
    assert {name for name, evaluation in found.items() if not evaluation.passed} == {
        "quarantine_share",
        "same_id_different_content",
        "schema_drift",
        "inferred_members",
    }
    for name in ("quarantine_share", "same_id_different_content", "schema_drift"):
        assert found[name].severity is dg.AssetCheckSeverity.WARN
        (sample,) = found[name].metadata["samples"].value
        assert f"{platform.settings.topic_prefix}listen_events/" in sample
    assert "1 of 5 records" in str(found["quarantine_share"].description)
    assert "mood" in found["schema_drift"].metadata["samples"].value[0]
    # `everything` has compared these dates.
    assert found["totals"].description == "every date was compared before"
    assert found["required_columns"].passed

    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        done = build_defs(platform.settings).resolve_job_def("nightly").execute_in_process(instance=instance)
        (added_up,) = (each for each in done.get_asset_check_evaluations() if each.check_name == "all_totals")
        assert (added_up.metadata["listens"].value, added_up.metadata["marts"].value) == (3, 11)
        assert {evaluation.passed for evaluation in done.get_asset_check_evaluations()} == {True}
        (report,) = done.asset_materializations_for_node("ops__quality_report")
    assert "payload: not exactly one JSON object | 1" in str(report.metadata["report"].value)
    assert evaluations(platform, "reconciliation")["conservation"].passed
    # What the dashboard reads: the latest verdict of each, in the warehouse itself.
    noted = platform.rows("SELECT model, check_name, passed FROM OPS.CHECKS WHERE kind = 'platform'")
    assert {(model, check) for model, check, passed in noted if not passed} == {
        ("RAW.EVENTS", "quarantine_share"),
        ("RAW.EVENTS", "same_id_different_content"),
        ("RAW.EVENTS", "schema_drift"),
        ("dim_songs", "inferred_members"),
    }
    assert ("RAW.EVENTS", "conservation", True) in noted
    assert platform.value("SELECT COUNT(*) FROM OPS.CHECKS WHERE kind = 'dbt' AND NOT passed") == 0
    platform.run("maintenance")
    platform.run("pruning")


def test_rows_that_a_blocking_check_refused_stay_refused_until_they_are_fixed_or_accepted(platform: Platform) -> None:
    platform.produce([(events.LISTEN, GOOD)] * 3)
    platform.run("everything")

    def verdict() -> dg.AssetCheckEvaluation:
        with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
            job = build_defs(platform.settings).resolve_job_def("quality")
            done = job.execute_in_process(instance=instance, raise_on_error=False)
        return {each.check_name: each for each in done.get_asset_check_evaluations()}["required_columns"]

    def command(*arguments: str) -> None:
        subprocess.run([str(venv_bin() / "music-platform"), *arguments], env=platform.environment, check=True)

    def noted() -> list[tuple[object, ...]]:
        return platform.rows(
            "SELECT first_batch, last_batch, passed FROM OPS.CHECKED_BATCHES "
            "WHERE check_name = 'required_columns' ORDER BY passed, 1"
        )

    assert verdict().passed
    ((newest,),) = platform.rows("SELECT MAX(batch_id) FROM RAW.EVENTS")
    good = (0, int(newest), True)
    assert noted() == [good]
    # A later load goes wrong, and then a day of good ones follows.
    copied = ", ".join(c.column for c in events.raw_columns() if c.column not in ("batch_id", "event_id", "loaded_at"))
    for batch, lost in ((newest + 1, True), (newest + 2, False)):
        platform.rows(
            f"INSERT INTO RAW.EVENTS ({copied}, batch_id, event_id, loaded_at) SELECT {copied}, {batch}, "
            f"{'NULL' if lost else 'event_id'}, DATEADD('day', {batch - newest}, loaded_at) FROM RAW.EVENTS "
            f"WHERE batch_id = {newest} LIMIT 1"
        )
    for _ in range(2):
        refused = verdict()
        assert not refused.passed, "it looked at the last hour of loading only"
        assert "1 listen rows without event_id" in str(refused.description)
        assert noted() == [(newest + 1, newest + 1, False), good]
    platform.rows(f"UPDATE RAW.EVENTS SET event_id = 'found' WHERE batch_id = {newest + 1}")
    assert verdict().passed
    assert noted() == [(newest + 1, newest + 2, True)]
    platform.rows(f"UPDATE RAW.EVENTS SET event_id = NULL, batch_id = {newest + 3} WHERE event_id = 'found'")
    assert not verdict().passed
    command("accept-rows", "--yes")
    assert verdict().passed
    command("rebuild", "--yes")
    assert noted() == [], "a rebuilt table is judged as a whole"
