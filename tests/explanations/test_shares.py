from __future__ import annotations

import numpy as np
import pandas as pd

from survfuse.explanations.shares import shares_of


def terms(patients: int = 200, seed: int = 0, **columns: float) -> pd.DataFrame:
    """Terms that share a factor, each with a weight."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=patients)
    values = {"constant": np.full(patients, 7.0)}
    for name, weight in columns.items():
        values[name] = weight * (factor + rng.normal(size=patients))
    index = pd.Index([f"p{row}" for row in range(patients)], name="patient_id")
    return pd.DataFrame(values, index=index)


def test_shares_are_covariances_over_the_variance_and_add_up_to_1() -> None:
    frame = terms(a=1.0, b=0.5, c=0.1)
    found = shares_of(frame).set_index("term")
    assert list(found.index) == ["a", "b", "c"]
    log_risk = frame.sum(axis=1)
    for name, share in found["share"].items():
        expected = frame[name].cov(log_risk) / log_risk.var()
        np.testing.assert_allclose(share, expected, rtol=1e-12)
    np.testing.assert_allclose(found["share"].sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(shares_of(frame).attrs["sd"], log_risk.std(ddof=0))
    variances = frame[["a", "b", "c"]].var() / log_risk.var()
    assert variances.sum() < 0.9  # plain variances do not add up


def test_a_term_that_varies_against_the_others_has_a_negative_share() -> None:
    found = shares_of(terms(a=1.0, against=-0.3)).set_index("term")
    assert found.loc["against", "share"] < 0
    assert found.loc["against", "high"] < 0
    np.testing.assert_allclose(found["share"].sum(), 1)


def test_intervals_hold_the_share_of_the_population_as_often_as_they_say() -> None:
    """In 200 cohorts, of the term whose share is 1 / (1 + 0.5^2)."""
    truth, inside = 1 / 1.25, 0
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = rng.normal(size=(2, 150))
        row = shares_of(pd.DataFrame({"a": a, "b": 0.5 * b}), repeats=200).iloc[0]
        inside += row["low"] <= truth <= row["high"]
    assert 0.88 < inside / 200 <= 0.99


def test_a_constant_of_each_fold_is_no_term() -> None:
    frame = terms(a=1.0, b=0.5)
    other = frame.assign(constant=np.arange(len(frame)))
    pd.testing.assert_frame_equal(shares_of(frame), shares_of(other))


def test_predictions_of_one_patient_are_drawn_together() -> None:
    frame = terms(60, a=1.0, b=0.7)
    once, twice = shares_of(frame), shares_of(pd.concat([frame, frame]))
    for column in ("share", "low", "high"):
        np.testing.assert_allclose(once[column], twice[column], rtol=1e-9)


def test_the_order_of_patients_changes_no_share_and_the_seed_is_fixed() -> None:
    frame = terms(a=1.0, b=0.7)
    pd.testing.assert_frame_equal(shares_of(frame), shares_of(frame))
    turned = shares_of(frame.iloc[::-1])
    np.testing.assert_allclose(turned["share"], shares_of(frame)["share"], rtol=1e-12)


def test_risks_that_do_not_differ_have_no_shares() -> None:
    for frame in (terms(a=0.0, b=0.0), terms(1, a=1.0, b=1.0)):
        found = shares_of(frame)
        assert found[["share", "low", "high"]].isna().all(axis=None)
        assert found.attrs["note"].startswith(
            "log-risks do not differ between patients"
        )
    assert shares_of(terms()).empty


def test_a_model_without_terms_says_so() -> None:
    found = shares_of(terms(a=1.0)[["constant"]])
    assert found.empty
    assert found.attrs == {"sd": 0.0, "note": "the model has no terms to share"}
