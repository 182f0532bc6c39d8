"""A prior as a term of the stack: its start, its penalty, and no pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import survfuse as sf
from prior_cohorts import risk_cohort
from running import loaded, small
from survfuse._errors import LeakageError
from survfuse.cohort import Cohort, Transforms, load_cohort
from survfuse.config import FitConfig
from survfuse.estimators import FoldContext, StackedCox
from survfuse.estimators.stack_terms import (
    MODALITY_PENALTY,
    PAIR_PENALTY,
    Terms,
    term_names,
)
from survfuse.estimators.stacked_cox import cross_fitted
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.readers.priors import Prior, barcode_hashes

CONFIG = FitConfig.of(
    modalities=("clinical", "expression", "pan"),
    expression_components=4,
    selection_folds=3,
    device="cpu",
)


def cohort_with_prior(folder: Path, slope: float, spread: float) -> Cohort:
    cohort = loaded(small(folder, 60))
    genes = cohort.modalities["expression"].expression.genes[:3]
    weights = np.array([1.0, -0.5, 0.2])
    prior = Prior("pan", "symbol", genes, weights, slope=slope, slope_spread=spread)
    return cohort.with_prior(prior)


def test_a_prior_is_in_no_pair() -> None:
    names = term_names(("clinical", "pan", "expression"), priors=("pan",))
    assert names == ("clinical", "pan", "expression", "clinical*expression")


def test_its_term_is_its_risk_at_the_slope_it_expects(tmp_path: Path) -> None:
    cohort = cohort_with_prior(tmp_path, 0.25, 0.1)
    fold = FoldContext.of(cohort)
    fit = StackedCox(CONFIG).fit(fold)
    model = fit.model
    assert isinstance(model, StackedRisk)
    assert model.terms.names == ("clinical", "expression", "pan", "clinical*expression")
    column = model.terms.risks(fit.source.blocks())[:, 2]
    z_scores = fit.source.blocks()["pan"][0][:, 0]
    np.testing.assert_allclose(column, 0.25 * z_scores)
    assert z_scores.std() == pytest.approx(1, abs=1e-6)
    record = fit.details["anchored"]["weights"]["pan"]
    assert record["start"] == 1
    assert fit.details["anchored"]["effective"]["terms"]["pan"] == 0


def test_out_of_fold_its_z_scores_come_from_the_other_inner_folds(
    tmp_path: Path,
) -> None:
    cohort = cohort_with_prior(tmp_path, 0.25, 0.1)
    fold = FoldContext.of(cohort)
    config = CONFIG.model_copy(update={"modalities": ("clinical", "pan")})
    inner = np.arange(len(fold.ids)) % 3
    risks = cross_fitted(fold, config, inner)[:, 1]
    for number in range(3):
        held = inner == number
        others = Transforms.fit(cohort, fold.patients(~held), config)
        z_scores = others.apply(cohort, fold.patients(held)).vectors["pan"][:, 0]
        np.testing.assert_allclose(risks[held], 0.25 * z_scores, rtol=1e-6)
        assert abs(risks[held].mean()) > 1e-6


def test_the_spread_of_its_slope_is_the_penalty_on_its_weight(tmp_path: Path) -> None:
    """Weight 1 + normal deviation: the slope is normal about the expected one."""
    fold = FoldContext.of(cohort_with_prior(tmp_path, 0.3, 0.1))
    fit = StackedCox(CONFIG).fit(fold)
    terms = fit.model.terms
    assert isinstance(terms, Terms)
    start, penalty = terms.starts(terms.names, fit.transforms.priors)
    np.testing.assert_array_equal(start, [1, 1, 1, 0])
    expected = [MODALITY_PENALTY, MODALITY_PENALTY, 9, PAIR_PENALTY]
    np.testing.assert_allclose(penalty, expected)


def test_a_prior_that_is_sure_keeps_its_weight_and_one_that_is_not_follows(
    tmp_path: Path,
) -> None:
    moved = []
    for number, spread in enumerate((0.001, 10.0)):
        folder = tmp_path / str(number)
        fold = FoldContext.of(cohort_with_prior(folder, 0.3, spread))
        fit = StackedCox(CONFIG).fit(fold)
        moved.append(abs(fit.details["anchored"]["weights"]["pan"]["value"] - 1))
    assert moved[0] < 1e-3 < moved[1]


def test_a_bundle_holds_the_prior_and_reads_cohorts_that_do_not_name_it(
    tmp_path: Path,
) -> None:
    cohort = cohort_with_prior(tmp_path, 0.25, 0.1)
    model = sf.SurvivalFusion.from_config(CONFIG).fit(cohort)
    model.save(tmp_path / "bundle")
    again = sf.SurvivalFusion.load(tmp_path / "bundle")
    plain = loaded(small(tmp_path / "plain", 60))
    assert "pan" not in plain.modalities
    np.testing.assert_array_equal(
        again.predict(plain).log_risk,
        model.predict(cohort).log_risk,
    )


def test_patients_that_a_prior_was_learned_from_are_marked_and_calibrate_nothing(
    tmp_path: Path,
) -> None:
    """The cohort does not name the prior: the model brings it."""
    other = risk_cohort(tmp_path / "tcga", 2, patients=40, ids="TCGA-AA-{number:04d}")
    calibration = load_cohort(other.write())
    own = load_cohort(risk_cohort(tmp_path / "own", 1, patients=60).write())
    genes = own.modalities["expression"].expression.genes[:3]
    hashes = frozenset(barcode_hashes(calibration.patients[:2]).values())
    prior = Prior("pan", "symbol", genes, np.array([1.0, -0.5, 0.2]), patients=hashes)
    model = sf.SurvivalFusion.from_config(CONFIG).fit(own.with_prior(prior))
    with pytest.raises(LeakageError, match=r"TCGA-AA-0001: .* learned from 2 patient"):
        model.recalibrate(calibration)
    known = model.predict(calibration).in_training
    assert known is not None
    assert known.tolist() == [True] * 2 + [False] * 38
    kept = model.recalibrate(calibration, calibration.patients[2:])
    assert kept.fitted is not None
    assert kept.fitted.summary["calibration_cohort"]["patients"] == 38
