"""Asks a Spark server and each of its executors what they have, and says what they lack to run the job."""

import json
import platform
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from music_platform.settings import Settings
from music_platform.stack import executor_probe, spark_cluster
from music_platform.stack.findings import Finding, Verdict
from music_platform.stack.jars import jar_paths, spark_sets
from music_spark.session import REQUIRED_CONF, spark_conf

#: Distributions that the job imports on an executor.
DISTRIBUTIONS = ("pyspark", "pyarrow", "orjson", "numpy", "deltalake")
#: Seconds within which every executor of the local cluster has to have answered.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Wanted:
    """What an executor has to have. `executors`: how many have to answer; None if that is not known."""

    python: str
    versions: dict[str, str | None]
    code: str
    executors: int | None


def wanted(settings: Settings) -> Wanted:
    """What this process has, which an executor has to have too."""
    folders = [str(folder) for folder in spark_cluster.package_folders()]
    return Wanted(
        python=platform.python_version(),
        versions={name: executor_probe.version(name) for name in DISTRIBUTIONS},
        code=executor_probe.code_digest(folders),
        executors=len(spark_cluster.WORKERS) if settings.spark_is_standalone else None,
    )


def lacks(answer: dict[str, Any], want: Wanted) -> list[str]:
    """What an executor lacks, by its answer. Pickled functions need the same minor version of Python."""
    found = []
    if answer["python"].split(".")[:2] != want.python.split(".")[:2]:
        found.append(f"Python {want.python} (it has {answer['python']})")
    for name, version in want.versions.items():
        has = answer["versions"].get(name)
        if has is None:
            found.append(f"{name} {version}")
        elif has != version:
            found.append(f"{name} {version} (it has {has})")
    if answer["error"] is not None:
        found.append(f"this project's packages ({answer['error']})")
    elif answer["code"] != want.code:
        found.append("this version of the project's packages (it has another)")
    return [*found, *answer["missing"]]


def findings(answers: Iterable[dict[str, Any]], want: Wanted) -> Iterator[Finding]:
    """A finding for each executor, and one more if too few answered."""
    found = sorted(answers, key=lambda answer: str(answer["where"]))
    advice = "music-platform restart spark" if want.executors else "Install it on the cluster, or send it along"
    for answer in found:
        if missing := lacks(answer, want):
            yield Finding("executor", Verdict.BAD, f"{answer['where']} lacks {', '.join(missing)}", advice)
        else:
            text = f"{answer['where']}: Python {answer['python']}, packages and code as here"
            yield Finding("executor", Verdict.GOOD, text)
    if want.executors is not None and len(found) < want.executors:
        text = f"{len(found)} of {want.executors} executors answered within {PATIENCE_SECONDS:.0f} s"
        yield Finding("executor", Verdict.BAD, text, "music-platform logs spark-worker-1")


#: Names of the one time zone that Spark takes.
UTC = {"UTC", "ETC/UTC", "Z", "GMT", "+00:00"}


def setting_findings(found: Mapping[str, str | None]) -> Iterator[Finding]:
    """A finding for each setting of a server that makes rows wrong, or one that all are right. `found` are the server's
    own; None for one that is not set."""
    needed = {name: spark_conf()[name] for name in REQUIRED_CONF}
    wrong = {name: value for name, value in needed.items() if not _is_right(name, value, found.get(name))}
    for name, value in wrong.items():
        yield Finding(
            "spark settings",
            Verdict.BAD,
            f"{name} is {found.get(name) or 'not set'}, not {value}",
            f"Start the server with --conf {name}={value}, or set it in its spark-defaults.conf",
        )
    if not wrong:
        yield Finding("spark settings", Verdict.GOOD, "the time zone is as the lake needs it")


def _is_right(name: str, wanted: str, found: str | None) -> bool:
    if found is None:
        return False
    if name == "spark.sql.session.timeZone":
        return found.upper() in UTC
    return found.lower() == wanted.lower()


def server_settings(settings: Settings) -> dict[str, str | None]:
    """The server's values of the settings that rows depend on. Raises what Spark raises."""
    from music_spark.session import open_session

    session = open_session(settings.spark_url or "", settings.spark_token, str(uuid.uuid4()))
    try:
        return {name: session.conf.get(name, None) for name in REQUIRED_CONF}
    finally:
        session.stop()


def ask(settings: Settings, want: Wanted) -> list[dict[str, Any]]:
    """One answer of each executor. Raises what Spark raises."""
    # Imported here: pyspark takes seconds.
    from pyspark import cloudpickle

    from music_spark.session import open_session

    # The jars of a cluster elsewhere are wherever it has them.
    files = jar_paths(settings, *spark_sets(settings)) if settings.spark_is_standalone else []
    step = executor_probe.probe(spark_cluster.PACKAGES, DISTRIBUTIONS, tuple(map(str, files)))
    found: dict[str, dict[str, Any]] = {}
    cloudpickle.register_pickle_by_value(executor_probe)  # type: ignore[no-untyped-call]
    session = open_session(settings.spark_url or "", settings.spark_token, str(uuid.uuid4()))
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        tasks = 2 * (want.executors or 1) + 2
        while True:
            rows = session.range(0, tasks, 1, tasks).mapInArrow(step, "answer string").collect()
            answers = (json.loads(row.answer) for row in rows)
            found |= {answer["where"]: answer for answer in answers}
            if len(found) >= (want.executors or 1) or time.monotonic() > deadline:
                return list(found.values())
            time.sleep(1)
    finally:
        session.stop()
        cloudpickle.unregister_pickle_by_value(executor_probe)  # type: ignore[no-untyped-call]


def examine(settings: Settings) -> list[Finding]:
    """The findings about the server's settings and all executors. One that cannot run the probe at all is a finding
    too."""
    want = wanted(settings)
    try:
        return [*setting_findings(server_settings(settings)), *findings(ask(settings, want), want)]
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:500] if str(error).strip() else type(error).__name__
        return [Finding("executor", Verdict.BAD, f"cannot run a task: {reason}", "music-platform logs spark")]
