"""The estimator under the tools of scikit-learn, with patients as X."""

from __future__ import annotations

import inspect
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.utils.validation import check_is_fitted
from sksurv.util import Surv

from running import loaded, quick, small
from survfuse._errors import (
    CohortError,
    InputError,
    NotComputableError,
    NothingLearnedWarning,
)
from survfuse.cohort import Cohort
from survfuse.cohort.rows import CohortRows, read_structured
from survfuse.config import PARAMETERS, FitConfig
from survfuse.estimator import SurvivalFusion


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), patients=40))


def ridge(**fields: Any) -> SurvivalFusion:
    return SurvivalFusion(**{"fusion": "ridge_cox", "device": "cpu", **fields})


@pytest.fixture(scope="module")
def model(cohort: Cohort) -> SurvivalFusion:
    return ridge().fit(cohort)


# -- parameters


def test_every_parameter_is_documented_with_its_default() -> None:
    text = inspect.getdoc(SurvivalFusion) or ""
    defaults = FitConfig().parameters()
    assert set(defaults) == {"preset", "fusion", *PARAMETERS}
    for name, default in defaults.items():
        assert f"\n{name} : " in text
        (line,) = [one for one in text.splitlines() if one.startswith(f"{name} : ")]
        assert line.endswith(f", default {default!r}")
    documented = text.partition("Parameters\n")[2].partition("Attributes\n")[0]
    assert documented.count(", default ") == len(defaults)


def test_the_signature_has_every_parameter_and_its_default() -> None:
    for where in (SurvivalFusion, SurvivalFusion().__init__):
        parameters = inspect.signature(where).parameters
        found = {name: one.default for name, one in parameters.items()}
        assert found == FitConfig().parameters()
    assert SurvivalFusion._get_param_names() == sorted(FitConfig().parameters())


def test_its_page_for_notebooks_shows_what_was_given() -> None:
    page = SurvivalFusion(fusion="concat", rank=3)._repr_html_()
    assert "SurvivalFusion" in page
    assert "concat" in page


def test_whether_it_is_fitted_is_known(model: SurvivalFusion) -> None:
    check_is_fitted(model)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        check_is_fitted(clone(model))
    assert model.__sklearn_tags__().target_tags.required


def test_only_what_differs_from_the_preset_is_written(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    """A clone and a bundle give every parameter."""
    short = "SurvivalFusion(fusion='ridge_cox', device='cpu')"
    loaded_model = SurvivalFusion.load(model.save(tmp_path / "bundle"))
    for one in (model, clone(model), loaded_model):
        assert repr(one) == short
    assert repr(SurvivalFusion(preset="paper")) == "SurvivalFusion(preset='paper')"
    assert repr(SurvivalFusion(preset="paper", seed=3)).endswith("'paper', seed=3)")


# -- patients as X


def test_rows_are_patients_in_the_order_asked(cohort: Cohort) -> None:
    rows = cohort[np.array([3, 0, 5])]
    assert rows.patients == tuple(cohort.patients[i] for i in (3, 0, 5))
    assert len(cohort[1:4]) == 3
    assert cohort[np.arange(40) < 2].patients == cohort.patients[:2]
    assert rows[[2, 1], ...].patients == (cohort.patients[5], cohort.patients[0])
    assert cohort[-1].patients == cohort.patients[-1:]
    assert (rows.shape, cohort.shape) == ((3, 3), (40, 3))
    np.testing.assert_array_equal(rows.y, cohort.y[[3, 0, 5]])
    with pytest.raises(IndexError, match="out of bounds"):
        _ = cohort[40]


def test_a_cohort_gives_the_outcome_of_scikit_survival(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    expected = Surv.from_dataframe("event", "time", cohort.outcome)
    assert cohort.y.dtype == expected.dtype
    np.testing.assert_array_equal(cohort.y, expected)


def test_any_names_of_fields_are_read() -> None:
    y = Surv.from_arrays([True, False], [2.0, 3.0], name_event="dead", name_time="days")
    event, time = read_structured(y)
    assert (event.tolist(), time.tolist()) == ([True, False], [2.0, 3.0])


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([1.0, 2.0], r"^y: expected a structured array .*; got list$"),
        (np.ones(3), r"got ndarray$"),
        (np.zeros(2, dtype=[("time", "f8"), ("event", "?")]), r"got time of float64"),
        (np.zeros(2, dtype=[("event", "?")]), r"got the fields event"),
    ],
)
def test_another_outcome_is_refused(y: Any, match: str, cohort: Cohort) -> None:
    with pytest.raises(InputError, match=match):
        ridge().fit(cohort, y)


def test_outcomes_in_another_order_are_refused(cohort: Cohort) -> None:
    with pytest.raises(
        InputError,
        match=r"outcome\(s\) are not those of the cohort: .*in the same order",
    ):
        ridge().fit(cohort, cohort.y[::-1])
    with pytest.raises(
        InputError, match=r"^y: expected 40 outcomes, one a patient, got 3$"
    ):
        ridge().fit(cohort, cohort.y[:3])


def test_a_patient_without_an_outcome_is_named(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    outcome = cohort.outcome.copy()
    outcome.loc["002", "time"] = np.nan
    with pytest.raises(
        CohortError, match=r"the outcome of 1 patient\(s\) is not known: 002"
    ):
        _ = cohort.with_outcome(outcome).y


def test_an_outcome_and_ids_fit_the_same_model(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    expected = model.predict(cohort).log_risk
    for again in (
        ridge().fit(cohort, cohort.y),
        ridge().fit(cohort[::-1], cohort.y[::-1]),
        ridge().fit(cohort, patients=cohort.patients),
        ridge().fit(cohort, cohort.patients),
    ):
        np.testing.assert_array_equal(again.predict(cohort).log_risk, expected)
    np.testing.assert_array_equal(
        np.asarray(model.predict(cohort[::-1])), expected[::-1]
    )


def test_something_else_than_patients_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^X: expected a Cohort, .* got list; see load"
    ):
        ridge().fit([[1.0]])


# -- score


def test_the_score_is_the_c_of_uno_of_larger_is_better(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    score = model.score(cohort, cohort.y)
    assert score > 0.5
    assert model.score(cohort) == score
    from survfuse.metrics import uno_c

    y = cohort.y
    tau = np.quantile(y["time"], 0.9, method="higher")
    expected = uno_c(y["time"], y["event"], model.predict(cohort).log_risk, tau)
    assert score == expected.value
    assert model.score(cohort, tau=300) != score


def test_a_score_that_cannot_be_computed_says_why(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    alive = np.flatnonzero(~cohort.y["event"])
    with pytest.raises(NotComputableError, match=r"^Uno's C: "):
        model.score(cohort[alive])


# -- the tools


@pytest.mark.parametrize(
    "cv",
    [5, ShuffleSplit(3, test_size=0.3, random_state=0)],
)
def test_cross_val_score_scores_patients(cohort: Cohort, cv: Any) -> None:
    scores = cross_val_score(ridge(), cohort, cohort.y, cv=cv)
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_folds_can_be_stratified_on_the_event(cohort: Cohort) -> None:
    folds = StratifiedKFold(4).split(np.zeros(len(cohort)), cohort.y["event"])
    by_hand = []
    splits = list(folds)
    for train, test in splits:
        by_hand.append(ridge().fit(cohort[train]).score(cohort[test]))
    scores = cross_val_score(ridge(), cohort, cohort.y, cv=splits)
    np.testing.assert_array_equal(scores, by_hand)
    scores = cross_val_score(ridge(), cohort, cohort.y, cv=splits, n_jobs=2)
    np.testing.assert_array_equal(scores, by_hand)


def test_a_fitted_model_goes_to_workers_as_it_is(
    cohort: Cohort,
    model: SurvivalFusion,
) -> None:
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301 - as joblib does it
    expected = model.predict(cohort[[5, 3]])
    np.testing.assert_array_equal(copied.predict(cohort[[5, 3]]), expected)


def test_a_search_predicts_by_its_best_model_of_everyone(cohort: Cohort) -> None:
    search = GridSearchCV(ridge(), {"fusion": ["ridge_cox", "late_cox"]}, cv=3)
    search.fit(cohort, cohort.y)
    by_hand = ridge(**search.best_params_).fit(cohort).predict(cohort)
    np.testing.assert_array_equal(search.predict(cohort), by_hand)
    assert search.score(cohort, cohort.y) == search.best_estimator_.score(cohort)


def test_cross_val_predict_gives_the_risk_of_each_patient(cohort: Cohort) -> None:
    risk = cross_val_predict(ridge(), cohort, cohort.y, cv=4)
    assert risk.shape == (40,)
    assert np.isfinite(risk).all()


def test_a_grid_over_fusions_is_searched(cohort: Cohort) -> None:
    grid = {"fusion": ["concat", "ridge_cox"], "rank": [2, 4]}
    search = GridSearchCV(quick(epochs=2), grid, cv=3).fit(cohort, cohort.y)
    assert len(search.cv_results_["mean_test_score"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    assert best.get_params()["fusion"] == search.best_params_["fusion"]
    assert len(search.predict(cohort).log_risk) == 40
    ridges = search.cv_results_["mean_test_score"][2:]
    assert ridges[0] == ridges[1], "the rank is nothing to a ridge Cox"


def test_a_fold_that_cannot_be_scored_is_missing(cohort: Cohort) -> None:
    events = np.flatnonzero(cohort.y["event"])
    alive = np.flatnonzero(~cohort.y["event"])
    split = (np.concatenate([events, alive[3:]]), alive[:3])
    with pytest.warns(UserWarning, match="Scoring failed"):
        (score,) = cross_val_score(ridge(), cohort, cohort.y, cv=[split])
    assert np.isnan(score)


# -- curves


def test_curves_are_functions_as_of_scikit_survival(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    functions = model.predict_survival_function(cohort)
    array = model.predict_survival_function(cohort, return_array=True)
    assert functions.shape == (40,)
    assert array.shape == (40, len(model.unique_times_))
    np.testing.assert_array_equal(functions[3].x, model.unique_times_)
    np.testing.assert_array_equal(functions[3](model.unique_times_), array[3])
    low, high = functions[3].domain
    assert low == 0
    assert high == cohort.y["time"].max()
    assert functions[3](0) == 1
    with pytest.raises(
        InputError, match=r"^times must lie within \[0, .*\], got 1e\+09$"
    ):
        functions[3](1e9)
    np.testing.assert_array_equal(
        array,
        model.predict(cohort).survival(model.unique_times_),
    )


def test_the_cumulative_hazard_is_minus_the_logarithm(
    model: SurvivalFusion,
    cohort: Cohort,
) -> None:
    hazard = model.predict_cumulative_hazard_function(cohort, return_array=True)
    survival = model.predict_survival_function(cohort, return_array=True)
    np.testing.assert_allclose(np.exp(-hazard), survival)
    one = model.predict_cumulative_hazard_function(cohort[:1])[0]
    assert one(0) == 0
    np.testing.assert_array_equal(one(model.event_times_), hazard[0])


def test_without_curves_there_are_no_times(cohort: Cohort) -> None:
    assert not hasattr(ridge(), "unique_times_")
    model = ridge(calibration="km_rank").fit(cohort)
    assert not hasattr(model, "event_times_")
    assert "fit" in dir(model)
    with pytest.raises(NotComputableError, match="km_rank"):
        model.predict_survival_function(cohort)


# -- nothing learned


def test_a_model_that_learned_nothing_says_so(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    noise = ridge(modalities=("slides",), seed=1)
    shuffled = cohort.outcome.sample(frac=1, random_state=1).set_axis(
        cohort.outcome.index
    )
    with pytest.warns(NothingLearnedWarning, match=r"^nothing was learned: "):
        noise.fit(cohort.with_outcome(shuffled))
    assert "# nothing was learned" in repr(noise)


def test_a_model_that_learned_something_does_not(cohort: Cohort) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NothingLearnedWarning)
        model = ridge().fit(cohort)
        SurvivalFusion(fusion="kaplan_meier").fit(cohort)  # by design
    assert "nothing" not in repr(model)


def test_rows_are_written_in_a_line(cohort: Cohort) -> None:
    assert repr(cohort[:2]) == "CohortRows(2 of 40 patients of 'tiny')"
    assert isinstance(cohort[:2], CohortRows)


# -- tables and arrays as X

GENERATOR = np.random.default_rng(5)
TABLE = pd.DataFrame(
    {
        "age": GENERATOR.normal(60, 10, 60).round(1),
        "stage": GENERATOR.choice(["I", "II", "III"], 60),
        "marker": GENERATOR.normal(size=60),
    },
    index=[f"P{n:02d}" for n in range(60)][::-1],
)
HAZARD = np.exp(TABLE["marker"].to_numpy() + (TABLE["stage"] == "III"))
Y = Surv.from_arrays(GENERATOR.random(60) < 0.7, GENERATOR.exponential(20 / HAZARD))


def test_a_table_and_its_outcome_make_a_cohort() -> None:
    model = ridge().fit(TABLE, Y, unit="months")
    prediction = model.predict(TABLE)
    assert prediction.patient_id == tuple(TABLE.index)
    assert prediction.unit == "months"
    assert model.score(TABLE, Y) > 0.6
    outcome = pd.DataFrame({"months": Y["time"], "died": Y["event"]}, index=TABLE.index)
    cohort = Cohort.from_frames(
        outcome=outcome,
        time="months",
        event="died",
        unit="months",
        clinical=TABLE,
    )
    expected = ridge().fit(cohort).predict(cohort, TABLE.index.tolist())
    np.testing.assert_allclose(prediction.log_risk, expected.log_risk)


def test_new_rows_are_read_as_those_of_training() -> None:
    """One row alone would not show that a column is a number, or which levels it has."""
    model = ridge().fit(TABLE, Y, unit="months")
    whole = model.predict(TABLE)
    one = model.predict(TABLE.iloc[[7]])
    np.testing.assert_allclose(one.log_risk, whole.log_risk[7], atol=1e-6)
    assert len(model.predict_survival_function(TABLE.iloc[:3])) == 3


def test_tables_are_cross_validated() -> None:
    scores = cross_val_score(ridge(), TABLE, Y, cv=3, params={"unit": "months"})
    assert np.isfinite(scores).all()
    search = GridSearchCV(ridge(), {"fusion": ["ridge_cox", "anchored"]}, cv=3)
    search.fit(TABLE, Y, unit="months")
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_the_rows_of_an_array_have_no_names() -> None:
    X = TABLE[["age", "marker"]].to_numpy()
    model = ridge().fit(X[:40], Y[:40], unit="months")
    prediction = model.predict(X[30:50])
    assert prediction.in_training is not None
    assert prediction.in_training.tolist() == [True] * 10 + [False] * 10
    table = ridge().fit(TABLE.iloc[:40][["age", "marker"]], Y[:40], unit="months")
    named = table.predict(TABLE.iloc[30:50][["age", "marker"]])
    # Other inner folds, as the patients have other names, and so another penalty.
    assert np.corrcoef(prediction.log_risk, named.log_risk)[0, 1] > 0.999
    counted = TABLE[["age", "marker"]].reset_index(drop=True)
    again = (
        ridge().fit(counted.iloc[:40], Y[:40], unit="months").predict(counted[30:50])
    )
    np.testing.assert_array_equal(again.in_training, prediction.in_training)
    twice = ridge().fit(np.vstack([X, X[:1]]), np.append(Y, Y[:1]), unit="months")
    assert len(twice.predict(np.vstack([X, X[:1]])).log_risk) == 61


@pytest.mark.parametrize(
    ("X", "y", "fields", "match"),
    [
        (TABLE, Y, {}, r"^unit: X is a table, .* fit\(X, y, unit='months'\)"),
        (
            TABLE,
            Y[:3],
            {"unit": "days"},
            r"^y: expected 60 outcomes, one a row of X, got 3$",
        ),
        (TABLE, None, {"unit": "days"}, r"has no outcome to learn from"),
        (
            pd.concat([TABLE, TABLE]),
            None,
            {},
            r"^X: 60 patient\(s\) have more than one row",
        ),
    ],
)
def test_tables_that_cannot_be_fitted_are_refused(
    X: Any,
    y: Any,
    fields: dict[str, Any],
    match: str,
) -> None:
    with pytest.raises(InputError, match=match):
        ridge().fit(X, y, **fields)


def test_another_unit_than_that_of_the_cohort_is_refused(cohort: Cohort) -> None:
    with pytest.raises(
        InputError, match=r"^unit: the cohort counts in days, not in months$"
    ):
        ridge().fit(cohort, cohort.y, unit="months")
