from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sksurv.util import Surv

import survfuse as sf
from running import loaded, small
from survfuse._errors import InputError
from survfuse.cohort import Cohort
from survfuse.evaluation.predictions import evaluate as evaluate_file
from survfuse.metrics import harrell_c

N = 60
GENERATOR = np.random.default_rng(0)
RISK = GENERATOR.normal(size=N)
TIME = GENERATOR.exponential(20 * np.exp(-RISK)).clip(0.1)
EVENT = GENERATOR.random(N) < 0.7
IDS = [f"P{n:02d}" for n in range(N)]
TABLE = pd.DataFrame(
    {"patient_id": IDS, "time": TIME, "event": EVENT.astype(int), "log_risk": RISK}
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), patients=40))


def test_a_table_is_evaluated_as_its_file(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "predictions.csv", index=False)
    expected = evaluate_file(tmp_path / "predictions.csv")
    for given in (
        TABLE,
        tmp_path / "predictions.csv",
        str(tmp_path / "predictions.csv"),
    ):
        found = sf.evaluate(given)
        assert found.estimates == expected.estimates
        assert found.record["hashes"] == expected.record["hashes"]
        assert found.name == "predictions"


def test_arrays_are_evaluated_by_row() -> None:
    y = Surv.from_arrays(EVENT, TIME, name_event="dead", name_time="days")
    found = sf.evaluate(RISK, y)
    assert found.estimates == sf.evaluate(TABLE).estimates
    value = found.estimates["predictions"]["harrell_c"].value
    assert value == harrell_c(TIME, EVENT, RISK).value


def test_outcomes_are_taken_by_patient() -> None:
    outcome = TABLE[["patient_id", "time", "event"]]
    bare = TABLE[["patient_id", "log_risk"]]
    shuffled = outcome.sample(frac=1, random_state=0)
    assert sf.evaluate(bare, shuffled).estimates == sf.evaluate(TABLE).estimates


def test_a_prediction_is_judged_with_its_curves(cohort: Cohort) -> None:
    model = sf.SurvivalFusion(fusion="ridge_cox").fit(cohort, cohort.patients[:25])
    rest = cohort[25:]
    prediction = model.predict(rest)
    found = sf.evaluate(prediction, cohort, horizons=[400, 900], train=cohort[:25])
    assert found.unit == "days"
    assert found.horizons == (400, 900)
    assert found.estimates["predictions"]["isbs"].value is not None
    again = sf.evaluate(prediction, rest.y, horizons=[400, 900], train=cohort[:25].y)
    assert again.estimates == found.estimates
    usual = sf.evaluate(prediction, rest)
    assert set(usual.horizons) <= {365, 1095, 1825}


def test_models_are_compared() -> None:
    worse = TABLE.assign(log_risk=GENERATOR.normal(size=N))
    found = sf.evaluate(
        TABLE, against={"noise": worse}, name="mine", interval="influence"
    )
    assert set(found.estimates) == {"mine", "noise"}
    (row,) = found.performance["comparisons"]
    assert row["reference"] == "noise"


def test_the_report_of_arrays_is_written(tmp_path: Path) -> None:
    page = sf.evaluate(RISK, Surv.from_arrays(EVENT, TIME)).report(tmp_path / "r")
    assert page.exists()


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"predictions": RISK}, r"expected column\(s\) time, event"),
        (
            {"predictions": np.ones((3, 2))},
            r"^predictions: expected a path, .* shape \(3, 2\)",
        ),
        ({"predictions": "x.csv", "y": TABLE}, r"^y: expected none beside a file"),
        (
            {"predictions": TABLE, "y": TABLE},
            r"^y: the predictions have event, time already",
        ),
        ({"predictions": RISK, "y": [1, 2]}, r"^y: expected a cohort, .*got list$"),
        (
            {"predictions": RISK, "y": TABLE},
            r"^y: no outcome of 60 patient\(s\): row 00",
        ),
        (
            {
                "predictions": TABLE[["patient_id", "log_risk"]],
                "y": pd.concat([TABLE, TABLE]),
            },
            r"^y: more than one row of P00",
        ),
        (
            {"predictions": TABLE, "interval": "best"},
            r"^interval: expected one of .*'best'",
        ),
        (
            {"predictions": TABLE.assign(time=0)},
            r"predictions \(table\): column time, line 2: expected a time above 0",
        ),
        (
            {"predictions": TABLE, "against": {"b": np.ones((2, 2))}},
            r"^b: predictions: expected",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused(given: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        sf.evaluate(**given)


def test_units_of_time_are_one(cohort: Cohort) -> None:
    model = sf.SurvivalFusion(fusion="ridge_cox", device="cpu").fit(cohort)
    prediction = model.predict(cohort)
    months = replace(cohort, spec=in_months(cohort))
    assert (cohort.unit, months.unit) == ("days", "months")
    for given in ({"y": months}, {"y": months[:]}, {"y": cohort, "unit": "months"}):
        with pytest.raises(InputError, match=r"^unit: .* count time in days, months; "):
            sf.evaluate(prediction, **given)
    with pytest.raises(InputError, match=r"^unit: .* count time in days, months; "):
        sf.evaluate(prediction, cohort.y, train=months)


def in_months(cohort: Cohort) -> Any:
    """The same cohort file, which says that its times are months."""
    assert cohort.spec.outcome is not None
    outcome = cohort.spec.outcome.model_copy(update={"unit": "months"})
    return cohort.spec.model_copy(update={"outcome": outcome})


def test_training_patients_are_said(cohort: Cohort) -> None:
    model = sf.SurvivalFusion(fusion="ridge_cox", device="cpu")
    prediction = model.fit(cohort[:30]).predict(cohort)
    result = sf.evaluate(prediction, cohort, horizons=np.array([500.0, 1500.0]))
    assert any(
        "30 " in note and "trained on" in note for note in result.record["notes"]
    )


@pytest.mark.parametrize(
    ("event", "got"),
    [(None, "''"), ("Dead", "'Dead'"), (0.7, "'0.7'")],
)
def test_an_event_that_is_neither_is_refused_with_its_line(
    event: Any, got: str
) -> None:
    outcome = TABLE[["patient_id", "time", "event"]].astype({"event": object})
    outcome.loc[1, "event"] = event
    match = rf"^predictions \(table\): column event, line 3: expected 1 .*, got {got}"
    with pytest.raises(InputError, match=match):
        sf.evaluate(TABLE[["patient_id", "log_risk"]], outcome)
