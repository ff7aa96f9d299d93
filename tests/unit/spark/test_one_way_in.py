"""The lake is written in one way: through the drain, which holds the lease and knows the checkpoint's generation."""

import ast
from pathlib import Path

import music_platform
import music_spark

WRITERS = {"run_micro_batches", "append_files", "start_micro_batches"}


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
    assert callers == {"ingestion/drain.py", "ingestion/intake.py"}
