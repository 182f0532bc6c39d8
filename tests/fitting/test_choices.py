from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from running import loaded, quick, small
from survfuse._errors import CohortError
from survfuse.cohort import Cohort
from survfuse.fitting.choices import choose_epoch, fold_means, risk_cuts


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


def slow_choice(scores: list[list[float | None]]) -> int:
    """Epoch by epoch, the plain mean of what was scored."""
    best, chosen = float("inf"), 0
    for epoch in range(min(map(len, scores))):
        known = [run[epoch] for run in scores if run[epoch] is not None]
        mean = sum(known) / len(known)  # type: ignore[arg-type]
        if mean < best:
            best, chosen = mean, epoch + 1
    return chosen


@given(
    st.lists(
        st.lists(st.integers(-8, 8).map(float), min_size=3, max_size=6),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_the_chosen_epoch_is_that_of_the_slow_oracle(
    runs: list[list[float]],
    blind: bool,
) -> None:
    scores: list[list[float | None]] = [list(run) for run in runs]
    if blind:
        scores.append(
            [None] * 3,
        )  # a fold that cannot be scored has no say, but ends the comparison
    assert choose_epoch(scores) == slow_choice(scores)


def test_only_epochs_that_every_run_reached_are_compared() -> None:
    assert choose_epoch([[3.0, 2.0, 0.0, 0.0], [3.0, 2.5]]) == 2
    assert choose_epoch([[2.0, 1.0, 1.0]]) == 2, "the first of equals"
    assert choose_epoch([[float("inf"), 3.0], [1.0, 3.0]]) == 2


def test_epochs_that_nobody_scored_cannot_be_compared() -> None:
    with pytest.raises(
        CohortError,
        match=r"^no inner fold holds an event, so epochs cannot be compared; set selection: last$",
    ):
        choose_epoch([[None, None], [None, None]])


def test_risk_cuts_are_tertiles() -> None:
    risk = np.arange(9.0)
    np.testing.assert_allclose(risk_cuts(risk, None, np.zeros(9, int)), [8 / 3, 16 / 3])


def test_risk_cuts_of_out_of_fold_risks_forget_each_folds_own_zero() -> None:
    generator = np.random.default_rng(0)
    fold = np.arange(30) % 3
    out_of_fold, final = generator.normal(size=30), generator.normal(size=30)
    cuts = risk_cuts(final, out_of_fold, fold)
    shifted = risk_cuts(final, out_of_fold + np.array([5.0, -3.0, 0.5])[fold], fold)
    np.testing.assert_allclose(shifted, cuts, atol=1e-12)
    np.testing.assert_allclose(
        risk_cuts(final + 2, out_of_fold, fold),
        cuts + 2,
        atol=1e-12,
    )
    centred = np.concatenate(
        [out_of_fold[fold == f] - out_of_fold[fold == f].mean() for f in range(3)],
    )
    np.testing.assert_allclose(
        cuts,
        np.quantile(centred, [1 / 3, 2 / 3]) + final.mean(),
        atol=1e-12,
    )


def test_fold_means() -> None:
    np.testing.assert_array_equal(
        fold_means(np.array([1.0, 3.0, 10.0]), np.array([0, 0, 1])),
        [2, 10],
    )


# -- who may be trained on


def test_training_patients_are_checked(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(
        CohortError,
        match=r"^no outcome for training patients: nobody$",
    ):
        quick().fit(cohort, ["001", "nobody"])
    with pytest.raises(
        CohortError,
        match=r"^training patients are given more than once; each may appear once$",
    ):
        quick().fit(cohort, ["001", "002", "001"])
    with pytest.raises(
        CohortError,
        match=r"^none of the 2 training patients has an event; nothing can be learned$",
    ):
        quick().fit(cohort, ["001", "003"])
    with pytest.raises(
        CohortError,
        match=r"^2 inner folds need at least 2 training patients with the event, got 1; "
        r"train on more with the event$",
    ):
        quick().fit(cohort, ["001", "002", "003"])
    with pytest.raises(CohortError, match=r"training patients|patients"):
        quick().fit(cohort, [])


def test_patients_whose_outcome_is_not_known_are_not_trained_on(tmp_path: Path) -> None:
    files = small(tmp_path)
    files.set("003", "os_days", "")
    cohort = loaded(files, need_outcome=False)
    assert "003" in cohort.patients
    with pytest.raises(CohortError, match=r"no outcome for training patients: 003"):
        quick().fit(cohort)


def test_a_cohort_without_outcome_cannot_teach(tmp_path: Path) -> None:
    files = small(tmp_path)
    del files.spec["outcome"]
    with pytest.raises(
        CohortError,
        match=r"^cohort 'tiny' has no outcome to learn from; declare `outcome` in its file$",
    ):
        quick().fit(loaded(files, need_outcome=False))
