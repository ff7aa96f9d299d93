"""The lock says which jars, with which checksum; what is missing or damaged is noticed."""

import hashlib
import re
from pathlib import Path

import pytest

from music_platform.errors import LocalStackError
from music_platform.settings import Settings
from music_platform.stack import jars
from music_platform.stack.jars import BROKER, LOCK_FILE, SPARK, Jar, damaged_jars, locked_jars, missing_jars, parse_lock

CONTENT = b"a jar"
JAR = Jar(BROKER, "org.example", "thing", "1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


def put(folder: Path, content: bytes) -> None:
    path = JAR.path_in(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_lock_reads_back_what_was_written() -> None:
    assert parse_lock(f"# comment\n\n{JAR.line()}\n") == (JAR,)


@pytest.mark.parametrize("line", ["abc", "abc 1 broker org.example:thing", "abc many broker a:b:c"])
def test_a_broken_line_is_named(line: str) -> None:
    with pytest.raises(LocalStackError, match=r"jars.lock, line 2: .*python -m music_platform.stack.jars lock"):
        parse_lock(f"# comment\n{line}\n")


def test_jars_lie_where_maven_puts_them(tmp_path: Path) -> None:
    assert JAR.path_in(tmp_path) == tmp_path / "org/example/thing/1.0/thing-1.0.jar"


def test_missing_and_broken_off_jars_are_fetched_again(tmp_path: Path) -> None:
    assert missing_jars([JAR], tmp_path) == [JAR]
    put(tmp_path, CONTENT[:-1])
    assert missing_jars([JAR], tmp_path) == [JAR]
    put(tmp_path, CONTENT)
    assert missing_jars([JAR], tmp_path) == []


def test_a_changed_jar_is_noticed(tmp_path: Path) -> None:
    put(tmp_path, CONTENT)
    assert damaged_jars([JAR], tmp_path) == []
    put(tmp_path, CONTENT[::-1])
    assert damaged_jars([JAR], tmp_path) == [JAR]


def test_nothing_is_asked_of_the_network_when_all_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr(jars, "locked_jars", lambda *_: (JAR,))
    monkeypatch.setattr(jars, "_fetch", no_network)
    put(tmp_path, CONTENT)
    assert jars.ensure_jars(Settings(_env_file=None, jars_dir=tmp_path, music_home=tmp_path / "home"), [BROKER]) == 0


def test_the_committed_lock_holds_both_sets() -> None:
    names = {(jar.set, jar.artifact) for jar in locked_jars()}
    assert {(BROKER, "kafka_2.13"), (BROKER, "log4j-slf4j-impl"), (SPARK, "spark-sql-kafka-0-10_2.13")} <= names
    assert {"kafka-clients", "commons-pool2"} <= {a for s, a in names if s == SPARK}
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in locked_jars())


def test_the_committed_lock_names_no_registry() -> None:
    assert "://" not in LOCK_FILE.read_text()


def test_the_spark_set_leaves_out_what_pyspark_ships() -> None:
    shipped = {jars._artifact_of(path) for path in (jars.pyspark_home() / "jars").glob("*.jar")}
    assert "spark-sql_2.13" in shipped
    assert not shipped & {jar.artifact for jar in locked_jars(SPARK)}


@pytest.mark.parametrize(
    ("file", "artifact"),
    [
        ("spark-sql_2.13-4.2.0.jar", "spark-sql_2.13"),
        ("hive-shims-0.23-2.3.10.jar", "hive-shims-0.23"),
        ("guava-33.6.0-jre.jar", "guava"),
    ],
)
def test_the_artifact_of_a_file_name(file: str, artifact: str) -> None:
    assert jars._artifact_of(Path(file)) == artifact


def test_a_classifier_is_part_of_the_file_s_name(tmp_path: Path) -> None:
    (jar,) = parse_lock("abc 1 gcs org.example:thing:1.0:shaded\n")
    assert jar.line() == "abc 1 gcs org.example:thing:1.0:shaded"
    assert jar.path_in(tmp_path) == tmp_path / "org/example/thing/1.0/thing-1.0-shaded.jar"


def test_an_object_store_s_jars_are_wanted_only_where_a_setting_names_it(tmp_path: Path) -> None:
    given = Settings(_env_file=None, music_home=tmp_path)
    assert jars.spark_sets(given) == (SPARK,)
    assert jars.spark_sets(given.model_copy(update={"lake_url": "s3a://bucket/lake"})) == (SPARK, jars.S3)
    both = given.model_copy(update={"lake_url": "gs://bucket/lake", "intake_url": "s3a://bucket/intake"})
    assert set(jars.spark_sets(both)) == {SPARK, jars.S3, jars.GCS}
    assert jars.S3 in {jar.set for jar in locked_jars()}
    assert not {jar.artifact for jar in locked_jars(jars.S3)} & jars.LEFT_OUT


def test_a_jar_that_was_changed_and_kept_its_size_is_noticed_at_the_next_start(tmp_path: Path) -> None:
    put(tmp_path, CONTENT)
    path = JAR.path_in(tmp_path)
    checked = jars.Checked(tmp_path / "home" / "checked.json")
    assert checked.matches(JAR, path)
    checked.save()
    known = jars.Checked(tmp_path / "home" / "checked.json")
    assert known.matches(JAR, path)
    path.write_bytes(CONTENT[::-1])
    assert missing_jars([JAR], tmp_path) == []
    assert not known.matches(JAR, path)


def test_an_unchanged_jar_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, CONTENT)
    checked = jars.Checked(tmp_path / "checked.json")
    assert checked.matches(JAR, JAR.path_in(tmp_path))
    monkeypatch.setattr(jars, "_sha256", lambda _: pytest.fail("the jar was read again"))
    assert checked.matches(JAR, JAR.path_in(tmp_path))


def test_a_start_replaces_a_jar_that_was_changed_and_kept_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Jar] = []
    monkeypatch.setattr(jars, "locked_jars", lambda *_: (JAR,))
    monkeypatch.setattr(jars, "_fetch", lambda wanted, *_: fetched.extend(wanted))
    given = Settings(_env_file=None, jars_dir=tmp_path, music_home=tmp_path / "home")  # type: ignore[call-arg]
    put(tmp_path, CONTENT)
    assert jars.ensure_jars(given, [BROKER]) == 0
    put(tmp_path, CONTENT[::-1])
    assert (jars.ensure_jars(given, [BROKER]), fetched) == (1, [JAR])
