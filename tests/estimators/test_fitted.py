from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from running import loaded, quick, small
from survfuse._errors import CohortError
from survfuse.cohort import Cohort
from survfuse.estimators.fitted import risk_cuts


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


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
