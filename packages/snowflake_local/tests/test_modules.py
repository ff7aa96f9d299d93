"""What the modules of the package import."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
MODULES = {path.stem: path for path in (PACKAGE / "snowflake_local").glob("*.py")}


def imports(module: str) -> set[str]:
    """Full names of the modules that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_imports_have_no_circle() -> None:
    within = {
        name: {found.split(".")[1] for found in imports(name) if found.startswith("snowflake_local.")} & MODULES.keys()
        for name in MODULES
    }
    order = list(TopologicalSorter(within).static_order())  # raises CycleError
    assert order.index("cursor") < order.index("ddl") < order.index("commands") < order.index("execution")


def test_only_one_module_imports_fakesnow() -> None:
    importing = {name for name in MODULES if any(found.split(".")[0] == "fakesnow" for found in imports(name))}
    assert importing == {"_fakesnow"}


def test_every_import_is_declared() -> None:
    declared = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in declared}
    allowed = names | {"snowflake"}  # of snowflake-connector-python
    imported = {found.split(".")[0] for name in MODULES for found in imports(name)}
    assert imported - allowed - sys.stdlib_module_names - {"snowflake_local"} == set()


def test_an_import_leaves_nothing_in_the_folder_for_temporary_files(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import snowflake_local.server"], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
