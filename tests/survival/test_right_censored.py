from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from survfuse._errors import CohortError, InputError
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.right_censored import Outcome, Tally


@pytest.mark.parametrize(
    ("time", "event"),
    [
        ([1, 2], [True, False]),
        (pd.Series([1.0, 2.0], index=["a", "b"]), pd.Series([1, 0])),
        (torch.tensor([1.0, 2.0]), torch.tensor([1, 0])),
        (pd.array([1, 2], dtype="Int64"), pd.array([True, False], dtype="boolean")),
        (np.array([1, 2], dtype=object), np.array([1.0, 0.0], dtype=object)),
    ],
)
def test_anything_array_like_becomes_float64_and_bool(time, event):
    outcome = Outcome.of(time, event)
    assert outcome.time.dtype == np.float64
    assert outcome.event.dtype == np.bool_
    assert outcome.event.tolist() == [True, False]
    assert (len(outcome), outcome.events) == (2, 1)


@pytest.mark.parametrize(
    ("time", "event", "message"),
    [
        (
            [1, np.nan, 2],
            [1, 0, 1],
            "time must be a finite number > 0; row 1 holds nan",
        ),
        ([1, 2, 0], [1, 0, 1], "row 2 holds 0.0"),
        ([1, -3, -4], [1, 0, 1], "row 1 holds -3.0, and 1 more rows"),
        ([1, np.inf], [1, 0], "row 1 holds inf"),
        ([1, 2], [1, 2], "event must be 1 .*row 1 holds 2.0"),
        ([1, 2], [1, np.nan], "event must be 1 .*row 1 holds nan"),
        ([1, 2, 3], [1, 0], "one length, got 3 and 2"),
        ([[1, 2]], [1, 0], r"one column \(patients,\), got shape \(1, 2\)"),
        (["1", "soon"], [1, 0], "time must be a column of numbers, got text .*soon"),
        ([1, 2], pd.array([True, None], dtype="boolean"), "event must be"),
    ],
)
def test_a_wrong_outcome_is_refused_with_its_row(time, event, message):
    with pytest.raises(CohortError, match=message):
        Outcome.of(time, event)


def test_an_outcome_is_indexed_like_an_array():
    outcome = Outcome.of([1, 2, 3], [1, 0, 1])
    assert outcome[[2, 0]].time.tolist() == [3, 1]
    assert len(outcome[outcome.event]) == 2
    assert len(outcome[1]) == 1
    assert len(outcome[[]]) == 0


def test_a_log_risk_is_refused_with_its_row():
    with pytest.raises(InputError, match="log_risk must be finite; row 1 holds nan"):
        as_log_risk([0.0, np.nan, 1.0])
    with pytest.raises(InputError, match="expected 3, got 2"):
        as_log_risk([0.0, 1.0], 3)
    with pytest.raises(InputError, match="log_risk must be a column of numbers"):
        as_log_risk(torch.zeros(2, requires_grad=True))


def test_a_tally_counts_everyone_once():
    tally = Tally.of(Outcome.of([2, 2, 5, 1, 5], [1, 0, 1, 0, 1]))
    assert tally.time.tolist() == [1, 2, 5]
    assert tally.at_risk.tolist() == [5, 4, 2]
    assert tally.events.tolist() == [0, 1, 2]
    assert tally.censored.tolist() == [1, 1, 0]
