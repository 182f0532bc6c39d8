from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import survfuse
from halved import CONFIG, simulated
from running import loaded, small
from survfuse._errors import BundleError, ConfigError, InputError, NotComputableError
from survfuse._storage import read_json, sha256_file, write_json
from survfuse.config import FitConfig
from survfuse.decomposition import Agreement
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import agreement as module
from survfuse.explanations import half_models
from survfuse.explanations.agreement import (
    SPLITS,
    measure_agreement,
    usual_halves,
    with_agreement,
)
from survfuse.explanations.compare_halves import compare_terms
from survfuse.explanations.half_models import Pair, draw_halves, fitted_pairs


@cache
def measured() -> tuple[Agreement, tuple[str, ...]]:
    told: list[str] = []
    found = measure_agreement(simulated(), CONFIG, halves=2, progress=told.append)
    return found, tuple(told)


def test_what_splits_say_is_averaged() -> None:
    found, told = measured()
    assert told == tuple(f"half {number} of 4" for number in (1, 2, 3, 4))
    cohort = simulated()
    pairs = [
        pair for _, pair in fitted_pairs(cohort, CONFIG, draw_halves(cohort, None, 2))
    ]
    for key in (("prediction", "", "log-risk"), ("term", "", "clinical")):
        sums = []
        for pair in pairs:
            assert isinstance(pair, Pair)
            sums.append(dict(compare_terms(pair))[key])
        row = found.row(*key)
        assert row is not None
        values = [one for one in sums if one is not None]
        assert row.value == (pytest.approx(np.mean(values)) if values else None)
        assert (row.low, row.high) == (min(values), max(values))
        assert row.splits == 2


def test_sizes_are_said() -> None:
    found, _ = measured()
    assert (found.patients, found.splits, found.lost) == (90, 2, 0)
    assert found.half == 36
    assert found.notes == ()


def test_every_level_is_there() -> None:
    found, _ = measured()
    levels = [row.level for row in found.rows]
    assert levels == sorted(levels, key=module.LEVELS.index)
    assert set(levels) >= {
        "prediction",
        "term",
        "tiles",
        "clusters",
    }
    assert {row.name for row in found.rows if row.level == "term"} == {
        "clinical",
        "expression",
        "slides",
    }


def test_lost_splits_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(context: half_models.FoldContext, config: FitConfig) -> None:
        if len(fits) == 2:
            raise NotComputableError("too few events")
        fits.append(fit(context, config))
        return fits[-1]

    fits: list[object] = []
    fit = half_models.fit_model
    cohort = simulated()
    config = CONFIG.model_copy(
        update={
            "inputs": CONFIG.inputs.model_copy(update={"modalities": ("clinical",)})
        },
    )
    monkeypatch.setattr(half_models, "fit_model", lose)
    found = measure_agreement(cohort, config, halves=3)
    assert (found.splits, found.lost) == (1, 2)
    assert found.notes == ("a split is lost: too few events",)
    fits[:] = [None, None]
    with pytest.raises(NotComputableError, match="could be fitted: too few events"):
        measure_agreement(cohort, config, halves=1)


@pytest.mark.parametrize("halves", [0, -1, 1.5, True, "2", None])
def test_there_must_be_a_split(halves: Any) -> None:
    with pytest.raises(InputError, match="halves must be a whole number >= 1, got"):
        measure_agreement(simulated(), CONFIG, halves=halves)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"held": "x"}, "held must be a number"),
        ({"patients": "001"}, "patients: expected a list of ids, got '001'"),
        ({"groups": 5}, "groups: expected the name of a group, got 5"),
        ({"config": {"fusion": "ridge_cox"}}, "config: expected a FitConfig, got dict"),
    ],
)
def test_other_arguments_are_refused_before_any_fit(
    given: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(InputError, match=said):
        measure_agreement(simulated(), **{"config": CONFIG, **given})


def test_a_column_may_differ_in_one_half_only(tmp_path: Path) -> None:
    """Some held-out patients lack the table, so that a column has fewer rows than patients."""
    files = small(tmp_path, 60)
    files.patients["sex"] = "M"
    rare = np.random.default_rng(6).choice(60, 6, replace=False)
    files.patients.loc[rare, "sex"] = "F"
    table = files.patients[["patient_id", "age", "stage", "sex"]]
    files.tables["clinical.csv"] = table[np.arange(60) % 5 != 2]
    files.spec["clinical"]["table"] = "clinical.csv"
    found = measure_agreement(loaded(files), CONFIG, halves=4)
    row = found.row("column", "clinical", "sex")
    assert row is not None
    assert (row.value, row.splits) == (None, 0)


def test_a_model_is_measured_on_its_own_training_patients(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = simulated()
    trained = cohort.patients[:70]
    model = SurvivalFusion.from_config(CONFIG).fit(cohort, trained)
    asked = []

    def answer(
        _: object, config: FitConfig, patients: object, **how: object
    ) -> Agreement:
        asked.append((config, patients, how))
        return measured()[0]

    monkeypatch.setattr(module, "measure_agreement", answer)
    other = with_agreement(model, cohort, halves=2)
    assert asked == [(CONFIG, list(trained), {"halves": 2, "progress": None})]
    assert model.need_fitted().agreement is None
    again = survfuse.load(other.save(tmp_path / "bundle"))
    assert again.need_fitted().agreement == measured()[0]
    explanation = survfuse.explain(again, cohort, cohort.patients[:5])
    assert explanation.agreement["level"].iloc[0] == "prediction"
    assert set(explanation.check()["status"]) <= {"pass", "grey", "not used"}
    before = survfuse.explain(model, cohort, cohort.patients[:5])
    assert before.agreement.empty
    assert before.check()["name"].tolist() == list(before.terms.columns[1:])


def test_a_damaged_agreement_is_refused_with_its_file(tmp_path: Path) -> None:
    model = SurvivalFusion.from_config(CONFIG).fit(simulated())
    model.fitted = replace(model.need_fitted(), agreement=measured()[0])
    folder = model.save(tmp_path / "bundle")
    state = read_json(folder / "reference.json")
    state["agreement"]["rows"][0]["value"] = 3.0
    write_json(folder / "reference.json", state)
    manifest = read_json(folder / "bundle.json")
    manifest["sha256"]["reference.json"] = sha256_file(folder / "reference.json")
    write_json(folder / "bundle.json", manifest)
    with pytest.raises(
        BundleError, match=r"reference\.json: agreement: a row: expected a level"
    ):
        survfuse.load(folder)


def test_the_function_stays_one_when_its_package_is_imported() -> None:
    import survfuse.explanations as package

    assert survfuse.explain is package.explain
    model = SurvivalFusion.from_config(CONFIG).fit(simulated())
    patients = simulated().patients[:2]
    assert survfuse.explain(model, simulated(), patients).patients == patients


def test_a_cohort_of_others_is_refused(tmp_path: Path) -> None:
    model = SurvivalFusion.from_config(CONFIG).fit(simulated())
    other = loaded(small(tmp_path))
    with pytest.raises(ConfigError, match="holds no training patient of this model"):
        with_agreement(model, other)


@pytest.mark.parametrize("fusion", ["anchored", "late_cox", "concat", "gated"])
def test_half_models_are_usual_but_of_networks(fusion: str) -> None:
    networks = fusion in ("concat", "gated")
    assert usual_halves(FitConfig.of(fusion=fusion)) == (0 if networks else SPLITS)
