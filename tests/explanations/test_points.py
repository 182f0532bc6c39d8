from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from missing_patterns import partly_missing
from running import quick
from survfuse._errors import InputError, NotComputableError
from survfuse.cohort import Cohort
from survfuse.decomposition import Product, Readings, Reference
from survfuse.estimators.model_parts import LinearColumns
from survfuse.estimators.stack_parts import LinearParts
from survfuse.explanations import Explanation, explain
from survfuse.explanations.explained import Explained
from survfuse.explanations.points import cloglog, points

HORIZON = 900.0
CALIBRATIONS = ("breslow_oof", "breslow", "isotonic_oof", "km")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return partly_missing(tmp_path_factory.mktemp("cohort"))


KNOWN: dict[str, Explanation] = {}
"""Fitted once."""


def explanation(cohort: Cohort, **fields: Any) -> Explanation:
    key = repr(sorted(fields.items()))
    if key not in KNOWN:
        model = quick(**{"bag_components": 3, "fusion": "late_cox", **fields})
        KNOWN[key] = explain(model.fit(cohort), cohort)
    return KNOWN[key]


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_the_risk_is_the_reference_and_the_points_of_all_modalities(
    cohort: Cohort,
    calibration: str,
) -> None:
    explained = explanation(cohort, calibration=calibration)
    found = explained.points(HORIZON)
    assert list(found) == ["risk", "reference", "clinical", "expression", "slides"]
    assert list(found.index) == list(cohort.patients)
    assert found.index.name == "patient_id"
    survival = explained.prediction.survival([HORIZON])[:, 0]
    np.testing.assert_allclose(found["risk"], 100 * (1 - survival), rtol=0, atol=1e-9)
    total = found.drop(columns="risk").sum(axis=1)
    np.testing.assert_allclose(total, found["risk"], rtol=0, atol=1e-9)
    spread = found[["clinical", "expression", "slides"]].std()
    assert (spread > 1).all() == (calibration != "km")


def test_the_reference_is_the_mean_predicted_risk_of_the_training_patients(
    cohort: Cohort,
) -> None:
    found = explanation(cohort).points(HORIZON)
    np.testing.assert_allclose(found["reference"], found["risk"].mean(), atol=1e-4)


@pytest.mark.parametrize("fusion", ["late_cox", "pairwise_residual", "gated"])
def test_points_are_the_mean_over_all_orders_of_the_modalities(
    cohort: Cohort,
    fusion: str,
) -> None:
    """By the definition, patient by patient, with whole curves."""
    explained = explanation(cohort, fusion=fusion, epochs=8).explained
    some = (3, 6, 20)
    names, background = explained.modalities, explained.reference.background
    values = {}
    for size in range(4):
        for known in itertools.combinations(names, size):
            risks = []
            for row in some:
                own = explained.readings.take(np.full(len(background), row))
                log_risk = explained.parts.log_risk(own.mixed(background, known))
                curves = explained.fitted.calibrator.curves(log_risk)
                risks.append(100 * (1 - curves.at([HORIZON])).mean())
            values[frozenset(known)] = np.array(risks)
    found = points(explained, HORIZON)
    for name in names:
        expected = np.zeros(len(some))
        for order in itertools.permutations(names):
            before = frozenset(order[: order.index(name)])
            expected += (values[before | {name}] - values[before]) / math.factorial(3)
        own = found[name].to_numpy()[list(some)]
        np.testing.assert_allclose(own, expected, rtol=0, atol=1e-5)


def test_a_modality_that_is_not_read_has_no_points(cohort: Cohort) -> None:
    explained = explanation(cohort).explained
    assert isinstance(explained.parts, LinearParts)
    kept = []
    for part in explained.parts.products:
        if part.modalities != ("slides",):
            kept.append(part)
    parts = replace(explained.parts, products=tuple(kept))
    found = points(replace(explained, parts=parts), HORIZON)
    assert (found["slides"] == 0).all()
    assert found["clinical"].std() > 1


def test_a_rank_map_has_no_points(cohort: Cohort) -> None:
    explained = explanation(cohort, calibration="km_rank")
    with pytest.raises(
        NotComputableError,
        match=r"^calibration km_rank gives no risk .* terms of the log-risk",
    ):
        explained.points(HORIZON)


def test_a_horizon_beyond_follow_up_is_refused(cohort: Cohort) -> None:
    explained = explanation(cohort)
    with pytest.raises(NotComputableError, match=r"^horizon .* days is beyond"):
        explained.points(2 * explained.explained.fitted.summary["longest_time"])
    wrong: list[Any] = [-1.0, np.nan, np.inf, None, "x", "900", [900], True, 1j]
    for horizon in wrong:
        for table in (explained.points, explained.cloglog):
            with pytest.raises(InputError, match=r"^horizon must be "):
                table(horizon)
    assert (explained.points(0.0) == 0).all(axis=None)


def test_terms_add_up_on_the_scale_of_the_log_hazard(cohort: Cohort) -> None:
    explained = explanation(cohort)
    found = explained.cloglog(HORIZON)
    survival = explained.prediction.survival([HORIZON])[:, 0]
    expected = np.log(-np.log(survival))
    np.testing.assert_allclose(found.sum(axis=1), expected, rtol=0, atol=1e-6)
    later = explained.cloglog(2 * HORIZON)
    pd.testing.assert_frame_equal(
        found.drop(columns="constant"), later.drop(columns="constant")
    )


def test_other_scales_are_refused(cohort: Cohort) -> None:
    isotonic = explanation(cohort, calibration="isotonic_oof").explained
    with pytest.raises(
        NotComputableError, match=r"^calibration isotonic_oof: the curve"
    ):
        cloglog(isotonic, HORIZON)
    with pytest.raises(
        NotComputableError, match=r"^no training patient had the event by 0"
    ):
        explanation(cohort).cloglog(0)


def made_up(explained: Explained, patients: int, modalities: int) -> Explained:
    """Many patients and modalities, whose terms are products of two modalities."""
    rng = np.random.default_rng(0)
    names = [f"m{place}" for place in range(modalities)]

    def readings(count: int) -> Readings:
        blocks = {}
        for name in names:
            blocks[name] = rng.normal(size=(count, 4)), rng.random(count) < 0.8
        return Readings.of(blocks)

    products = []
    for left, right in itertools.pairwise(names):
        sides = {name: 0.3 * rng.normal(size=(6, 3)) for name in (left, right)}
        products.append(Product(sides, rng.normal(size=3)))
    reference = Reference.of(readings(500))
    empty = LinearColumns(np.zeros((4, 1)), np.zeros((4, 1)))
    columns = dict.fromkeys(names, empty)
    parts = LinearParts(columns, tuple(products), explained.fitted.transforms)
    known = readings(patients)
    ids = tuple(f"p{row}" for row in range(patients))
    return replace(
        explained,
        ids=ids,
        prediction=explained.fitted.prediction(ids, parts.log_risk(known)),
        parts=parts,
        readings=known,
        reference=reference,
    )


@pytest.mark.slow
def test_a_thousand_patients_against_500_take_seconds(cohort: Cohort) -> None:
    explained = made_up(explanation(cohort).explained, 1000, 4)
    start = time.process_time()
    found = points(explained, HORIZON)
    assert time.process_time() - start < 30
    total = found.drop(columns="risk").sum(axis=1)
    np.testing.assert_allclose(total, found["risk"], rtol=0, atol=1e-9)


def test_more_than_8_modalities_are_refused(cohort: Cohort) -> None:
    explained = made_up(explanation(cohort).explained, 3, 9)
    with pytest.raises(
        NotComputableError, match=r"^percentage points of 9 modalities need 512"
    ):
        points(explained, HORIZON)
