from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.survival.groups import log_rank


def test_log_rank_is_that_of_r(reference):
    time, event, risk = reference.arrays
    test = log_rank(time, event, risk > np.quantile(risk, 0.5))
    assert test.chi2 == pytest.approx(reference.numbers("logrank chisq")[0], abs=1e-8)
    assert test.df == 1
    assert test.observed.sum() == pytest.approx(test.expected.sum())


def test_three_groups_agree_with_lifelines(monthly):
    statistics = pytest.importorskip("lifelines.statistics")
    time, event, risk = monthly
    group = np.digitize(risk, [-0.4, 0.4])
    ours = log_rank(time, event, group)
    theirs = statistics.multivariate_logrank_test(time, group, event)
    assert ours.chi2 == pytest.approx(theirs.test_statistic)
    assert ours.p == pytest.approx(theirs.p_value)
    assert ours.df == 2


def test_labels_do_not_matter(monthly):
    time, event, risk = monthly
    low = log_rank(time, event, risk > 0)
    named = log_rank(time, event, np.where(risk > 0, "a", "b"))
    assert named.chi2 == pytest.approx(low.chi2)
    assert named.groups == ("a", "b")


@pytest.mark.parametrize(
    ("time", "event", "group", "why"),
    [
        ([1, 2, 3], [1, 1, 0], [0, 0, 0], "at least two groups, got 1"),
        ([1, 2, 3], [0, 0, 0], [0, 1, 0], "no event while"),
        ([1, 2, 3], [0, 0, 1], [0, 1, 0], "no event while"),
        ([], [], [], "at least two groups, got 0"),
    ],
)
def test_what_cannot_be_computed_says_why(time, event, group, why):
    test = log_rank(time, event, group)
    assert test.chi2 is None
    assert test.p is None
    assert why in test.note


def test_one_label_per_patient():
    with pytest.raises(InputError, match=r"expected 3, got shape \(2,\)"):
        log_rank([1, 2, 3], [1, 0, 1], [0, 1])
