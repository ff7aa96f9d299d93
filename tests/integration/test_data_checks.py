"""The data checks on the real warehouse find what is wrong, with figures and coordinates."""

import dagster as dg

from music_platform.contracts import events
from music_platform.definitions import build_defs
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
    assert found["totals"].metadata["listens"].value == 3
    assert found["totals"].metadata["marts"].value == 10
    assert found["required_columns"].passed

    with dg.DagsterInstance.from_config(str(platform.dagster_home)) as instance:
        done = build_defs(platform.settings).resolve_job_def("nightly").execute_in_process(instance=instance)
        assert {evaluation.passed for evaluation in done.get_asset_check_evaluations()} == {True}
        (report,) = done.asset_materializations_for_node("ops__quality_report")
    assert "payload: not exactly one JSON object | 1" in str(report.metadata["report"].value)
    assert evaluations(platform, "reconciliation")["conservation"].passed
    platform.run("maintenance")
    platform.run("pruning")
