"""dbt's own adapter suites on the local warehouse, compared with expected.json.

A report, not a promise. Look at every change, better or worse, then record it in expected.json and README.md.
"""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conformance.launcher import LocalWarehouse

FOLDER = Path(__file__).parent / "dbt_adapter"
PACKAGE = Path(__file__).parents[2]
EXPECTED = FOLDER / "expected.json"
PASSES = "passes"


def run_suites(port: int, report: Path) -> dict[str, str]:
    """Test → `passes`, or the first line of its error."""
    options = ["-p", "dbt.tests.fixtures.project", "-p", "no:cacheprovider", "-q", "--timeout=120"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(FOLDER / "suites.py"), *options, f"--junitxml={report}"],
        cwd=PACKAGE,
        env={**os.environ, "ADAPTER_SUITE_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert report.exists(), (done.stdout + done.stderr)[-4000:]
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{str(case.get('classname')).rpartition('.')[2]}.{case.get('name')}"
        failure = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        found[name] = PASSES if failure is None else str(failure.get("message")).strip().splitlines()[0][:200]
    return found


@pytest.mark.long
@pytest.mark.local_only
@pytest.mark.timeout(1600)
def test_dbts_suites_pass_as_far_as_is_known(tmp_path: Path) -> None:
    warehouse = LocalWarehouse(tmp_path / "root", "--memory-limit", "1GB")
    try:
        found = run_suites(warehouse.port, tmp_path / "report.xml")
    finally:
        warehouse.stop()
    print(json.dumps(found, indent=1))
    expected = json.loads(EXPECTED.read_text())
    changed = {
        name: f"{found.get(name, 'not found')} (expected: {expected.get(name, 'nothing')})"
        for name in found.keys() | expected.keys()
        if (found.get(name) == PASSES) != (expected.get(name) == PASSES) or name not in found or name not in expected
    }
    assert changed == {}, f"differs from {EXPECTED}"
    passed = sum(outcome == PASSES for outcome in found.values())
    text = (PACKAGE / "README.md").read_text()
    assert f"{passed} of {len(found)} tests pass" in text, "README.md has other numbers"
