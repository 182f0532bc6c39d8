"""A small model whose slides have a weight, its bundle, and its explanation: made once for all."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from running import quick, small
from survfuse.cohort import load_cohort
from survfuse.decomposition.measured_agreement import Agreement, AgreementRow
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import Explanation, explain

_FOLDER = tempfile.TemporaryDirectory(prefix="survfuse-tests-")


@cache
def cohort_file() -> Path:
    """24 patients with clinical data, 12 genes and slides; nobody's coordinates are known."""
    return small(Path(_FOLDER.name) / "cohort").write()


@cache
def fitted_model() -> SurvivalFusion:
    return quick(fusion="late_cox").fit(load_cohort(cohort_file()))


@cache
def bundle_folder() -> Path:
    return fitted_model().save(Path(_FOLDER.name) / "bundle")


@cache
def small_explanation() -> Explanation:
    """Explanation of everyone; agreement was not measured."""
    return explain(fitted_model(), load_cohort(cohort_file()))


@cache
def measured_explanation() -> Explanation:
    """The same, of a model whose expression does not reproduce, and whose halves use no slides."""
    values = {"clinical": 0.9, "expression": 0.1, "slides": None}
    rows = []
    for name, value in values.items():
        rows.append(AgreementRow("term", "", name, value, value, value, 4))
    agreement = Agreement(tuple(rows), patients=24, half=10.0, splits=4)
    model = SurvivalFusion.from_config(fitted_model().config)
    fitted = fitted_model().need_fitted()
    calibrator = replace(fitted.calibrator, slope=1.0)  # it was 0: nobody is ordered
    model.fitted = replace(fitted, agreement=agreement, calibrator=calibrator)
    return explain(model, load_cohort(cohort_file()))
