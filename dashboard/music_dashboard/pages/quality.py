"""Whether the numbers can be trusted: completeness, checks, quarantine, conservation, anomalies, late events."""

import pandas as pd

from music_dashboard import charts
from music_dashboard.formats import number, seconds
from music_dashboard.page import Page
from music_dashboard.show import show
from music_dashboard.tables import titled
from music_dashboard.tile import Drawing, Figure, Note, Number, Numbers, Table, Tile

REDRIVE = (
    "After a fix of the cause, send the open ones again: `music-platform redrive` "
    "(`--reason …` for one reason; `music-platform redrive --help`). Each becomes a row of its own."
)


def freshness(frame: pd.DataFrame) -> list[Drawing]:
    """Up to when each model is complete."""
    titles = {"model": "Model", "complete_until": "Complete until (UTC)", "behind": "Behind", "built_at": "Built (UTC)"}
    shown = frame.assign(behind=frame["behind_seconds"].fillna(0).map(seconds))
    late = int((frame["behind_seconds"].fillna(0) > 0).sum())
    return [
        Numbers((
            Number("Models", number(len(frame))),
            Number("Behind RAW", number(late)),
            Number("Longest delay", seconds(frame["behind_seconds"].fillna(0).max())),
        )),
        Table(titled(shown, **titles)),
    ]  # fmt: skip


def checks(frame: pd.DataFrame) -> list[Drawing]:
    """The latest verdicts; those that fail first."""
    failed = frame[~frame["passed"].astype(bool)]
    shown = frame.assign(verdict=["passed" if passed else "FAILED" for passed in frame["passed"]])
    titles = {"verdict": "Verdict", "model": "Table", "check_name": "Check", "said": "Result", "checked_at": "At (UTC)"}
    return [
        Numbers((Number("Passed", number(len(frame) - len(failed))), Number("Failed", number(len(failed))))),
        Table(titled(shown, **titles)),
    ]


def quarantine(frame: pd.DataFrame) -> list[Drawing]:
    """What was refused, why, and what to do."""
    titles = {"quarantine_reason": "Reason", "event_kind": "Kind", "records": "Records", "redriven": "Sent again",
              "still_open": "Open", "last_produced_at": "Latest (UTC)"}  # fmt: skip
    return [
        Numbers((
            Number("Quarantined", number(frame["records"].sum())),
            Number("Open", number(frame["still_open"].sum())),
        )),
        Table(titled(frame, **titles)),
        Note(REDRIVE),
    ]  # fmt: skip


def conservation(frame: pd.DataFrame) -> list[Drawing]:
    """Where every loaded row is."""
    row = frame.iloc[0]
    parts = pd.DataFrame({
        "what": ["Events that count", "Further records of the same events", "Quarantined"],
        "rows": [int(row[name]) for name in ("events", "repeated", "quarantined")],
    })  # fmt: skip
    return [
        Numbers((Number("Rows loaded", number(row["loaded"])), Number("Events that count", number(row["events"])))),
        Figure(charts.bars(parts, "what", "rows"), "What became of the loaded rows"),
    ]


def anomalies(frame: pd.DataFrame) -> list[Drawing]:
    """Hours that stand out."""
    titles = {"activity_hour": "Hour (UTC)", "state": "State", "plays": "Plays", "expected_plays": "Expected",
              "score": "Score"}  # fmt: skip
    return [
        Numbers((Number("Hours and states that stand out", number(len(frame))),)),
        Table(titled(frame.round({"expected_plays": 1, "score": 1}), **titles)),
    ]


def restatements(frame: pd.DataFrame) -> list[Drawing]:
    """What late events have changed."""
    chart = charts.stacked(frame, "activity_date", {"plays_added": "Plays added after the date was over"})
    return [
        Numbers((
            Number("Dates that changed", number(len(frame))),
            Number("Plays added", number(frame["plays_added"].sum())),
        )),
        Figure(chart, "Plays of each date that were recorded after it was over"),
    ]  # fmt: skip


def stages(frame: pd.DataFrame) -> list[Drawing]:
    """What a batch costs."""
    built = frame.dropna(subset=["build_seconds"])
    drawn = built.sort_values("version")
    figures: list[Drawing] = [
        Numbers((
            Number("Batches", number(len(frame)), against="the latest hundred at most"),
            Number("Rows of a batch", number(frame["row_count"].median()), against="median"),
            Number("Lake to RAW", seconds(built["load_seconds"].median() if len(built) else None), against="median"),
            Number("RAW to silver", seconds(built["build_seconds"].median() if len(built) else None), against="median"),
        ))
    ]  # fmt: skip
    if len(drawn) > 1:
        series = {"load_seconds": "Lake to RAW", "build_seconds": "RAW to silver"}
        chart = charts.stacked(drawn, "version", series, number=",.1f")
        figures.append(Figure(chart, "Seconds of each stage, by version of the lake"))
    return figures


PAGE = Page(
    name="quality",
    title="Quality",
    icon=":material/fact_check:",
    order=6,
    about="Whether the numbers of the other pages can be trusted, and what to do where they cannot.",
    tiles=(
        (
            Tile("freshness", "Complete until", (), "freshness", freshness, dated=False),
            Tile("checks", "Checks", (), "checks", checks, dated=False, empty="No check has been evaluated yet."),
        ),
        (
            Tile("conservation", "Where every row is", ("events", "quarantine"), "conservation", conservation,
                 dated=False),
            Tile("quarantine", "Quarantine", ("quarantine",), "quarantine", quarantine, dated=False,
                 empty="No record has been quarantined."),
        ),
        (
            Tile("anomalies", "Unusual traffic", ("traffic_anomalies",), "traffic_anomalies", anomalies,
                 empty="Nothing stands out in these dates. Before four weeks of data nothing can."),
            Tile("restatements", "Changed by late events", ("listens",), "restatements", restatements,
                 empty="No date has changed after it was over."),
        ),
        (Tile("stages", "What each stage takes", ("events",), "load_history", stages, dated=False),),
    ),
)  # fmt: skip

if __name__ == "__main__":
    show(PAGE)
