"""What a page says when something is not as it should be: nothing built, the warehouse down, a failed check."""

from collections.abc import Iterator
from datetime import date

import pytest
import streamlit as st

from music_platform.environment import settings_environment
from music_platform.settings import Settings, get_settings
from music_platform.warehouse.connection import connect, execute_all
from music_platform.warehouse.model_versions import go_back
from music_platform.warehouse.notice import say_changed
from music_platform.warehouse.schema import note_verdict, provision_warehouse
from tests.integration.conftest import latest_statements
from tests.integration.dashboard.conftest import Shown
from tests.integration.dashboard.learned import TABLES, publish_rows
from tests.integration.marts.conftest import Simulation
from tests.integration.marts.test_truth import PRODUCED
from tests.support.lake import Lake, records_of, rows_of
from tests.support.warehouse import TestWarehouse, test_warehouse


@pytest.fixture(scope="module")
def built(
    warehouse_settings: Settings, simulation: Simulation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestWarehouse]:
    """The marts of the simulation, with the verdicts on one of them."""
    with test_warehouse(warehouse_settings, tmp_path_factory.mktemp("states")) as warehouse:
        lake = Lake(warehouse.scratch / "lake")
        warehouse.load_reference(simulation.folder / "reference")
        lake.append(rows_of(records_of(simulation.folder, PRODUCED)))
        warehouse.load(lake.root)
        warehouse.build()
        warehouse.dbt("test", "--select", "active_users_daily", "--exclude-resource-type", "unit_test")
        yield warehouse


@pytest.fixture
def empty(warehouse_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A platform on which nothing was ever built: the ledgers are there, the marts are not."""
    settings = warehouse_settings.model_copy(update={"snowflake_database": "EMPTY"})
    provision_warehouse(settings)
    for name, value in settings_environment(settings, secrets=True).items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    st.cache_resource.clear()
    yield settings
    get_settings.cache_clear()
    st.cache_resource.clear()
    with connect(settings) as session:
        session.cursor().execute("drop database EMPTY")


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("page", ["now", "money"])
def test_an_empty_platform_says_what_to_do(page: str) -> None:
    (said,) = Shown(page).said()
    assert "Nothing has been built yet" in said
    assert "music-platform simulate" in said


@pytest.mark.usefixtures("empty")
def test_a_database_that_was_never_made_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_DATABASE", "NOWHERE")
    get_settings.cache_clear()
    st.cache_resource.clear()
    (said,) = Shown("charts").said()
    assert "Nothing has been built yet" in said


@pytest.mark.usefixtures("here")
def test_a_warehouse_that_is_down_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PORT", "1")
    get_settings.cache_clear()
    st.cache_resource.clear()
    (said,) = Shown("listeners").said()
    assert said.startswith("The local warehouse at 127.0.0.1:1 does not answer.")
    assert "Traceback" not in said


def test_a_failed_check_shows_on_its_tile_and_on_no_other(here: TestWarehouse) -> None:
    before = Shown("listeners")
    assert before.test.warning == []
    change = "update OPS.CHECK_RESULTS set passed = {}, said = '{}' where check_name = 'stickiness_is_a_share'"
    here.session.cursor().execute(change.format("false", "3 rows are above 1"))
    say_changed(here.settings)
    try:
        shown = Shown("listeners")
        assert [each.value for each in shown.tile("actives").warning] == [
            "The check `stickiness_is_a_share` of active_users_daily fails: 3 rows are above 1"
        ]
        assert [each.value for each in shown.tile("devices").warning] == []
        captions = [each.value for each in shown.tile("actives").caption]
        assert any("2 of 3 checks passed" in text for text in captions)
        quality = Shown("quality")
        assert quality.numbers("checks")["Failed"] == "1"
        assert quality.frame("checks")[0]["check_name"] == "stickiness_is_a_share"
    finally:
        here.session.cursor().execute(change.format("true", "passed"))
        say_changed(here.settings)


def test_a_page_that_is_drawn_again_sends_no_statement_until_something_changes(here: TestWarehouse) -> None:
    def asked() -> int:
        return sum('"dashboard"' in str(said["query_tag"]) for said in latest_statements(here.settings))

    shown = Shown("charts")
    first = asked()
    assert first > 0
    shown.run()
    shown.run(period="day")
    assert asked() == first
    # What is new is asked for, and only that.
    shown.run(period="year")
    assert 0 < asked() - first <= 4
    known = asked()
    say_changed(here.settings)
    shown.run()
    assert asked() - known == 1, "the state alone is read: no mart was built"


def test_every_statement_is_one_that_reads_and_says_who_asks(here: TestWarehouse) -> None:
    for page in ("now", "charts", "artist", "listeners", "money", "quality", "for_you"):
        Shown(page)
    own = [said for said in latest_statements(here.settings) if '"dashboard"' in str(said["query_tag"])]
    assert len(own) > 20
    assert all(str(said["text"]).lstrip().lower().startswith(("select", "with")) for said in own)


@pytest.mark.usefixtures("here")
def test_before_anything_is_learned_the_page_says_how_to() -> None:
    shown = Shown("for_you")
    (said,) = shown.said()
    assert "Nothing has been learned yet" in said
    assert "group:ml" in said
    assert shown.test.subheader.len == 0
    assert shown.test.sidebar.selectbox.len == 0


def test_what_is_published_is_shown_and_what_is_not_says_why(here: TestWarehouse) -> None:
    def asked() -> int:
        return sum('"dashboard"' in str(said["query_tag"]) for said in latest_statements(here.settings))

    rows = [{"user_id": f"u{n}", "as_of": date(2026, 6, 1), "probability": 0.05 + n / 100} for n in range(10)]
    publish_rows(here.session, "churn_risk", rows, date(2026, 6, 1))
    execute_all(here.session, note_verdict("listener_segments", "beats_baselines", True, "no verdict: too few weeks"))
    execute_all(here.session, note_verdict("churn_risk", "drift", False, "days since a stream 0.310"))
    say_changed(here.settings)
    try:
        shown = Shown("for_you")
        assert shown.numbers("churn_bands")["Users at risk"] == "10"
        assert [each.value for each in shown.tile("churn_bands").warning] == [
            "The check `drift` of churn_risk fails: days since a stream 0.310"
        ]
        assert [each.value for each in shown.tile("segments").info] == [
            "Not built yet: listener_segments. listener_segments: no verdict: too few weeks."
        ]
        assert shown.numbers("learned")["Published models"] == "1"
        known = asked()
        shown.run()
        assert asked() == known
        # A version is a build: what it says is asked for, and so is what it was measured by.
        publish_rows(here.session, "churn_risk", rows[:7], date(2026, 6, 8), "v2")
        say_changed(here.settings)
        shown.run()
        assert asked() - known == 3
        assert shown.numbers("churn_bands")["Users at risk"] == "7"
        go_back(here.session, TABLES["churn_risk"], "v1")
        say_changed(here.settings)
        shown.run()
        assert shown.numbers("churn_bands")["Users at risk"] == "10"
    finally:
        execute_all(here.session, ["delete from OPS.MODEL_VERSIONS",
                                   "delete from OPS.CHECK_RESULTS where kind = 'platform'"])  # fmt: skip
        say_changed(here.settings)


@pytest.mark.usefixtures("here")
def test_the_address_keeps_the_filters_from_page_to_page() -> None:
    shown = Shown("charts", state="CA", level="paid")
    assert shown.test.selectbox(key="filter_state").value == "CA"
    shown.test.selectbox(key="filter_state").set_value("TX").run()
    assert shown.test.query_params["state"] in ("TX", ["TX"])
    shown.test.query_params.clear()
    shown.test.switch_page("music_dashboard/pages/artist.py").run()
    assert shown.test.selectbox(key="filter_state").value == "TX"
    assert shown.test.query_params["level"] in ("paid", ["paid"])


@pytest.mark.usefixtures("here")
def test_an_address_with_nonsense_shows_the_usual_page() -> None:
    shown = Shown("charts", **{"from": "yesterday", "period": "decade", "week": "x", "state": "Nowhere"})
    assert shown.test.radio(key="control_period").value == "day"
    assert shown.test.error == []
