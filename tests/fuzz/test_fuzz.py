"""A short hunt in every reader; `python -m fuzz.hunt --long` is the long one."""

from __future__ import annotations

import sys

import pytest

from fuzz.hunt import hunt
from fuzz.readers import READERS

SECONDS = 2.5
EXECUTIONS = 5_000  # of the long hunt's first ones, which came back clean
PATIENCE = 120.0  # on a machine that is busy with other tests


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc")
@pytest.mark.parametrize("reader", READERS)
def test_nothing_but_our_own_errors_leaves_a_reader(reader: str) -> None:
    found = hunt(reader, seconds=SECONDS, executions=EXECUTIONS, patience=PATIENCE)
    assert found.executions > 0
    assert not found.findings, str(found)
