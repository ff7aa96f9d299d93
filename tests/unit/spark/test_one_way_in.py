"""The lake is written in one way: through the drain, which holds the lease and knows the checkpoint's generation, and
by one library, whose commits never overwrite each other."""

import ast
from pathlib import Path

import music_platform
import music_spark

WRITERS = {"Stream", "append_files", "append_records"}
ROOTS = [Path(str(module.__file__)).parent for module in (music_platform, music_spark)]


def test_no_module_of_the_streaming_job_is_a_program() -> None:
    folder = Path(str(music_spark.__file__)).parent
    assert [file.name for file in folder.glob("*.py") if "__main__" in file.read_text()] == []


def test_only_ingestion_calls_what_writes_the_lake() -> None:
    callers = {
        str(file.relative_to(ROOTS[0]))
        for file in ROOTS[0].rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and {name.name for name in node.names} & WRITERS
    }
    assert callers == {"ingestion/drain.py", "ingestion/intake.py", "ingestion/unreadable_records.py"}


def test_no_commit_is_made_by_spark_s_own_writer() -> None:
    """On S3 it locks within its process alone, and would overwrite a commit of the library."""
    files = [file for root in ROOTS for file in root.rglob("*.py")]
    assert [
        file.name for file in files if "import deltalake" in (text := file.read_text()) or "from deltalake" in text
    ] == ["delta_writer.py"]
    spark_s = ('format("delta")', "delta.`", "OPTIMIZE ", "VACUUM ")
    assert [(file.name, word) for file in files for word in spark_s if word in file.read_text()] == []
