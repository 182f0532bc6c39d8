"""The table of a model under losses: itself, the same with less, and the paired differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predicted import crossed, predicted
from running import loaded, small
from survfuse.cohort import Cohort
from survfuse.evaluation.assessment import assess
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.comparisons import delta_isbs, delta_uno_c
from survfuse.evaluation.folds import Folds
from survfuse.evaluation.missing_inputs import Loss, Losses
from survfuse.evaluation.robustness import METRICS, robustness, scored

SCALE = Scale((20.0, 40.0), 40.0, draws=0, times=(10.0, 20.0, 30.0))
LOSSES = Losses(
    (Loss("removed", "expression"), Loss("missing", "50")),
    ("something: not there",),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(
        small(
            tmp_path_factory.mktemp("cohort"),
            patients=40,
            modalities=("clinical", "expression"),
        ),
    )


@pytest.fixture(scope="module")
def models() -> dict[str, Folds]:
    """The model, itself once more, and a worse one; for patients of the cohort."""

    def named(folds: Folds) -> Folds:
        return tuple(
            replace(
                fold,
                patient_id=np.array(
                    [f"{int(p[1:]) + 1:03d}" for p in fold.patient_id],
                    dtype=object,
                ),
            )
            for fold in folds
        )

    table = predicted(patients=40)
    worse = crossed(predicted(patients=40, seed=1, noise=3.0))
    return {
        "mine": named(crossed(table)),
        "removed:expression": named(crossed(table)),
        "missing:50": named(worse),
    }


def test_the_numbers_are_those_of_every_other_model(models: dict[str, Folds]) -> None:
    found = scored(models, LOSSES, SCALE)
    assert list(found) == ["removed:expression", "missing:50"]
    for name, estimates in found.items():
        whole = assess(models[name], SCALE)
        assert estimates == {metric: whole[metric] for metric in METRICS}


def test_a_loss_that_changes_nothing_differs_by_nothing(
    models: dict[str, Folds],
    cohort: Cohort,
) -> None:
    estimates = {"mine": assess(models["mine"], SCALE), **scored(models, LOSSES, SCALE)}
    told = robustness(
        models,
        "mine",
        estimates,
        LOSSES,
        cohort,
        ("clinical", "expression"),
        SCALE,
        seed=1,
    )
    assert told["left_out"] == ["something: not there"]
    rows = {(row["model"], row["metric"]): row for row in told["rows"]}
    assert list(rows) == [
        *(("mine", metric) for metric in METRICS),
        *(
            (loss, m)
            for loss in LOSSES.names
            for m in (*METRICS, "delta_uno_c", "delta_isbs")
        ),
    ]
    for metric in METRICS:
        assert (
            rows["mine", metric]["value"] == rows["removed:expression", metric]["value"]
        )
    for metric in ("delta_uno_c", "delta_isbs"):
        same, worse = rows["removed:expression", metric], rows["missing:50", metric]
        assert (same["value"], same["low"]) == (0, None)
        assert same["note"].startswith("the standard error is 0")
        assert worse["low"] < worse["value"] < worse["high"]
    assert (
        rows["missing:50", "delta_uno_c"]["value"]
        < 0
        < rows["missing:50", "delta_isbs"]["value"]
    )
    for metric, difference in (("uno_c", delta_uno_c), ("isbs", delta_isbs)):
        found = difference(models["missing:50"], models["mine"], SCALE)
        assert rows["missing:50", f"delta_{metric}"]["value"] == found.value
        apart = rows["missing:50", metric]["value"] - rows["mine", metric]["value"]
        assert found.value == pytest.approx(apart, abs=1e-12)


def test_rows_say_what_was_lost_and_who_has_nothing_left(
    models: dict[str, Folds],
    cohort: Cohort,
) -> None:
    losses = Losses(LOSSES.all[:1], ())
    estimates = {"mine": assess(models["mine"], SCALE), **scored(models, losses, SCALE)}
    told = robustness(
        models,
        "mine",
        estimates,
        losses,
        cohort,
        ("expression",),
        SCALE,
        seed=1,
    )
    places = {
        row["model"]: (row["kind"], row["what"], row["nothing_left"])
        for row in told["rows"]
    }
    assert places["mine"] == ("intact", "", 0)
    assert places["removed:expression"] == ("removed", "expression", 40)
