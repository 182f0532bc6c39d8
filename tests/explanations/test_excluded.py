from __future__ import annotations

import numpy as np
import pytest

from missing_patterns import partly_missing
from running import quick
from survfuse.cohort import Cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.estimators.stack_terms import StackWeights, TermRisks
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.explanations import Explanation, explain


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return partly_missing(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def explanation(cohort: Cohort) -> Explanation:
    """Of a stack whose slides and expression have no weight, for the reasons a fit gives."""

    def weights(self: TermRisks) -> StackWeights:
        value = np.ones(self.risks.shape[2])
        value[[1, 2]] = 0.0
        return StackWeights(value, self.start, 0.1 * value, 1.0, {2: 0.3})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TermRisks, "weights", weights)
        model = quick(fusion="anchored", anchor_bags="mean", bag_components=3).fit(
            cohort
        )
    return explain(model, cohort)


def test_a_term_without_weight_is_named_with_its_reason(
    explanation: Explanation,
) -> None:
    found = explanation.excluded.set_index("term")
    assert list(explanation.excluded) == ["term", "reason", "alone"]
    assert found.loc["slides", "reason"] == (
        "not used: out of fold it adds 0.30 to the log-likelihood of the other terms; 1.92 is "
        "needed"
    )
    assert found.loc["expression", "reason"] == (
        "not used: out of fold it is not shown to add to the other terms"
    )
    assert found.loc[["expression", "slides"], "alone"].all()
    assert "clinical" not in found.index
    assert not found["alone"].get("clinical*expression", False)


def test_excluded_terms_have_no_effect_and_the_others_have_one(
    explanation: Explanation,
) -> None:
    terms, out = explanation.terms, set(explanation.excluded["term"])
    for name in terms.columns.drop("constant"):
        # A pair that is used gives its modalities a main effect, too.
        if name in out and "*" in name:
            assert (terms[name] == 0).all()
        if name not in out:
            assert terms[name].std() > 0


def test_alone_is_the_own_regression_and_no_part_of_any_prediction(
    cohort: Cohort,
    explanation: Explanation,
) -> None:
    found = explanation.alone
    assert found.attrs["name"] == "not part of any prediction"
    assert list(found) == ["expression", "slides"]
    fitted = explanation.explained.fitted
    assert isinstance(fitted.model, StackedRisk)
    source = BatchSource(cohort, fitted.transforms, cohort.patients)
    blocks = source.blocks()
    for name in found:
        expected = fitted.model.terms.modalities[str(name)].risk(blocks)
        has = blocks[str(name)][1]
        np.testing.assert_allclose(found[name][has], expected[has], rtol=0, atol=1e-9)
        assert found[name][~has].isna().all()
        assert found[name].std() > 0


def test_baselines_and_networks_leave_nothing_out(cohort: Cohort) -> None:
    for fusion in ("ridge_cox", "concat"):
        found = explain(quick(fusion=fusion, epochs=2).fit(cohort), cohort)
        assert found.excluded.empty
        assert list(found.excluded) == ["term", "reason", "alone"]
        assert found.alone.shape == (len(cohort.patients), 0)
