"""The list of differences that a run against an account ends with."""

from types import SimpleNamespace

import pytest

from conformance.conftest import differences

pytestmark = pytest.mark.local_only


def test_each_difference_is_a_line_with_its_test_and_first_words() -> None:
    crashed = SimpleNamespace(reprcrash=SimpleNamespace(message="assert [(0,)] == [(3,)]\n  more"))
    reports = [
        SimpleNamespace(nodeid="tests/conformance/test_loading.py::test_copy_rolls_back", longrepr=crashed),
        SimpleNamespace(nodeid="tests/conformance/test_writes.py::test_lock_timeout", longrepr="the setup failed"),
    ]
    assert differences(reports) == [
        "test_loading.py::test_copy_rolls_back: assert [(0,)] == [(3,)]",
        "test_writes.py::test_lock_timeout: the setup failed",
    ]
