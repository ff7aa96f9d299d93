"""The lake is written in one way: through the drain, which holds the lease and knows the checkpoint's generation."""

import ast
from pathlib import Path

import music_platform
import music_spark
from music_spark.write import table_at

WRITERS = {"run_micro_batches", "append_files", "append_records", "start_micro_batches"}


def test_no_module_of_the_streaming_job_is_a_program() -> None:
    folder = Path(str(music_spark.__file__)).parent
    assert [file.name for file in folder.glob("*.py") if "__main__" in file.read_text()] == []


def test_only_ingestion_calls_what_writes_the_lake() -> None:
    root = Path(str(music_platform.__file__)).parent
    callers = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and {name.name for name in node.names} & WRITERS
    }
    assert callers == {"ingestion/drain.py", "ingestion/intake.py", "ingestion/unreadable_records.py"}


def test_a_path_with_a_backtick_is_one_name() -> None:
    assert table_at("/srv/of `mine`/lake/events") == "delta.`/srv/of ``mine``/lake/events`"


def test_every_statement_of_spark_s_names_the_lake_in_one_way() -> None:
    roots = [Path(str(module.__file__)).parent for module in (music_platform, music_spark)]
    assert [file.name for root in roots for file in root.rglob("*.py") if "delta.`" in file.read_text()] == ["write.py"]
