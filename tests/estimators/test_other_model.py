from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sksurv.ensemble import RandomSurvivalForest
from sksurv.linear_model import CoxnetSurvivalAnalysis, IPCRidge

from running import loaded, small
from survfuse._errors import ConfigError, InputError, SurvfuseError, TransformError
from survfuse.cohort import BatchSource, Cohort
from survfuse.estimators import FoldContext
from survfuse.estimators.other_model import OtherEstimator, OtherModel


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), patients=40))


class Seen(BaseEstimator):
    """Predicts its first column and remembers what it was given."""

    tables: list[Any] = []  # noqa: RUF012 - of every copy

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def fit(self, X: Any, y: Any) -> Seen:
        self.tables.append((X, y))
        return self

    def predict(self, X: Any) -> Any:
        return self.factor * X.iloc[:, 0].to_numpy()


def fitted(cohort: Cohort, estimator: Any, **inputs: Any) -> Any:
    other = OtherModel(estimator, **inputs)
    return OtherEstimator(other.config, other).fit(FoldContext.of(cohort))


def test_it_gets_one_table_of_all_modalities(cohort: Cohort) -> None:
    Seen.tables.clear()
    fit = fitted(cohort, Seen())
    X, y = Seen.tables[-1]
    assert list(X.index) == list(cohort.patients)
    assert {name.partition(":")[0] for name in X} == {
        "clinical",
        "expression",
        "slides",
    }
    assert "clinical: age" in X
    np.testing.assert_array_equal(y, cohort.y)
    assert abs(X.to_numpy().mean(axis=0)).max() < 1e-6
    assert len(Seen.tables) == 6, "five inner folds and everyone"
    for table, outcome in Seen.tables[:-1]:
        assert len(table) == len(outcome) < 40
    assert np.isfinite(fit.out_of_fold).all()


def test_out_of_fold_risks_are_of_fits_without_the_patient(cohort: Cohort) -> None:
    Seen.tables.clear()
    fit = fitted(cohort, Seen())
    for number, (table, _) in enumerate(Seen.tables[:-1]):
        held = {cohort.patients[row] for row in np.flatnonzero(fit.inner == number)}
        assert held.isdisjoint(table.index)
        assert held | set(table.index) == set(cohort.patients)


def test_inputs_can_be_chosen(cohort: Cohort) -> None:
    Seen.tables.clear()
    fitted(cohort, Seen(), modalities=("expression",), expression_components=None)
    X, _ = Seen.tables[-1]
    data = cohort.modalities["expression"]
    assert len(X.columns) == data.features


def test_a_missing_modality_is_the_mean_and_marked(tmp_path: Any) -> None:
    files = small(tmp_path, patients=40)
    files.expression = files.expression.drop(index=["002", "003"])
    cohort = loaded(files)
    Seen.tables.clear()
    fitted(cohort, Seen())
    X, _ = Seen.tables[-1]
    assert X["expression: absent"].sum() == 2
    assert (
        X.loc["002"].filter(like="expression: ").drop("expression: absent") == 0
    ).all()
    assert "slides: absent" not in X


def test_the_scale_of_a_risk_does_not_matter(cohort: Cohort) -> None:
    one, large = fitted(cohort, Seen()), fitted(cohort, Seen(factor=1000.0))
    np.testing.assert_allclose(one.in_sample, large.in_sample, atol=1e-9)
    np.testing.assert_allclose(one.out_of_fold, large.out_of_fold, atol=1e-9)


def test_the_final_model_gives_what_the_fit_says(cohort: Cohort) -> None:
    fit = fitted(cohort, RandomSurvivalForest(n_estimators=10, random_state=0))
    source = BatchSource(cohort, fit.transforms, cohort.patients)
    np.testing.assert_array_equal(fit.model.log_risk(source), fit.in_sample)
    forest = fit.model.estimator
    table = fit.model.columns.table(source.blocks(), cohort.patients)
    risk = forest.predict(table)
    assert np.corrcoef(risk, fit.in_sample)[0, 1] == pytest.approx(1)
    with pytest.raises(
        ConfigError, match="RandomSurvivalForest cannot be written to a bundle"
    ):
        fit.model.state()


def test_a_regression_of_times_counts_with_its_sign_changed(cohort: Cohort) -> None:
    fit = fitted(cohort, IPCRidge(alpha=100.0), modalities=("clinical",))
    source = BatchSource(cohort, fit.transforms, cohort.patients)
    table = fit.model.columns.table(source.blocks(), cohort.patients)
    times = fit.model.estimator.predict(table)
    assert np.corrcoef(times, fit.in_sample)[0, 1] == pytest.approx(-1)


def test_its_identity_is_its_class_and_parameters() -> None:
    def identity(**fields: Any) -> dict[str, Any]:
        return OtherModel(CoxnetSurvivalAnalysis(**fields)).identity()

    assert identity() == identity()
    assert identity(l1_ratio=0.3) != identity()
    assert identity()["class"].endswith("CoxnetSurvivalAnalysis")
    assert identity()["code"].startswith("scikit-survival ")
    own = OtherModel(Seen()).identity()
    assert len(own["code"]) == 64
    weights = [np.arange(5000.0), np.arange(5000.0) + (np.arange(5000) == 2500)]
    first, second = (OtherModel(Seen(factor=one)).identity() for one in weights)
    assert first != second


def test_code_of_the_user_is_part_of_the_identity() -> None:
    """Also where its text is not kept, as in notebooks, and inside of a pipeline."""

    def model(number: int, wrap: Callable[[Any], Any]) -> dict[str, Any]:
        names: dict[str, Any] = {"Seen": Seen, "__name__": "__main__"}
        text = f"class Own(Seen):\n    def fit(self, X, y):\n        return {number}\n"
        exec(text, names)
        return OtherModel(wrap(names["Own"]())).identity()

    def alone(one: Any) -> Any:
        return one

    def piped(one: Any) -> Any:
        return make_pipeline("passthrough", one)

    for wrap in (alone, piped):
        assert model(1, wrap) == model(1, wrap)
        assert model(1, wrap) != model(2, wrap)


def test_functions_and_long_tables_are_part_of_the_identity() -> None:
    def identity(factor: Any) -> dict[str, Any]:
        return OtherModel(Seen(factor=factor)).identity()

    assert identity(lambda x: x + 1) == identity(lambda x: x + 1)
    assert identity(lambda x: x + 1) != identity(lambda x: x + 2)
    table = pd.DataFrame(np.zeros((5000, 1)))
    assert identity(table) == identity(table.copy())
    assert identity(table) != identity(table + (table.index == 2500)[:, None])
    assert identity([table]) != identity([table + 1])


def test_whether_it_is_random_is_known() -> None:
    assert OtherModel(RandomSurvivalForest()).is_random()
    assert not OtherModel(RandomSurvivalForest(random_state=1)).is_random()
    assert not OtherModel(Seen()).is_random()


@pytest.mark.parametrize("wrong", [RandomSurvivalForest, 3, None, "forest"])
def test_what_is_no_estimator_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"^expected an estimator with fit\(X, y\)"):
        OtherModel(wrong)


def test_an_unknown_input_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"'n_estimators' is no input parameter; known: "
    ):
        OtherModel(Seen(), n_estimators=3)


def test_predictions_that_are_no_risk_are_refused(cohort: Cohort) -> None:
    with pytest.raises(TransformError, match=r"^Seen\.predict gave .* not finite"):
        fitted(cohort, Seen(factor=np.inf))

    class Two(Seen):
        def predict(self, X: Any) -> Any:
            return X.to_numpy()[:, :2]

    with pytest.raises(
        TransformError, match=r"expected a risk for each of .* \(8, 2\)"
    ):
        fitted(cohort, Two())


def test_an_estimator_that_refuses_its_table_is_named(cohort: Cohort) -> None:
    class Never(Seen):
        def fit(self, X: Any, y: Any) -> Seen:
            raise ValueError("too many columns")

    with pytest.raises(
        InputError, match=r"^Never\.fit: too many columns; it gets a table"
    ):
        fitted(cohort, Never())


@pytest.mark.parametrize("method", ["fit", "predict"])
def test_a_fault_of_the_estimator_is_named(cohort: Cohort, method: str) -> None:
    def fail(*_: Any) -> Any:
        raise ArithmeticError("no convergence")

    broken = type("Broken", (Seen,), {method: fail})
    with pytest.raises(SurvfuseError, match=rf"^Broken\.{method}: no convergence"):
        fitted(cohort, broken())
