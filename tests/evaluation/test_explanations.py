from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survfuse
from halved import CONFIG, simulated
from running import loaded, quick, small
from survfuse._errors import InputError
from survfuse.cohort.splits import Split
from survfuse.config import RunConfig, build
from survfuse.estimators import FoldContext
from survfuse.estimators.base import make_estimator
from survfuse.evaluation import explanations as module
from survfuse.evaluation.explanations import (
    HalvesPlan,
    explanations,
    shares_table,
    terms_of_fold,
    terms_table,
)
from survfuse.results import Result

SPLITS = (Split(0, 0, ("c",), ("a", "b")), Split(0, 1, ("a",), ("c", "d")))
TERMS = (
    {"constant": [1.0, 1.0], "x": [0.5, -0.5]},
    {"constant": [3.0, 3.0], "y*x": [0.1, 0.3], "y": [1.0, 2.0], "x": [0.0, 0.0]},
)


def config(**crossval: Any) -> RunConfig:
    return build(RunConfig, {"model": CONFIG, "crossval": crossval}, where="a test")


def test_terms_of_all_folds_are_joined() -> None:
    table = terms_table(SPLITS, TERMS)
    assert table is not None
    assert list(table) == ["patient_id", "repeat", "fold", "constant", "x", "y", "y*x"]
    assert table["patient_id"].tolist() == ["a", "b", "c", "d"]
    assert table["y"].tolist() == [0, 0, 1, 2]
    assert terms_table(SPLITS, (TERMS[0], None)) is None


def test_shares_are_within_folds() -> None:
    table = terms_table(SPLITS, TERMS)
    assert table is not None
    shifted = table.assign(y=table["y"] + 5 * table["fold"])
    shares = shares_table(table, repeats=20)
    pd.testing.assert_frame_equal(shares, shares_table(shifted, repeats=20))
    assert shares["share"].sum() == pytest.approx(1)


def test_half_models_are_fitted_by_default_but_of_networks() -> None:
    assert HalvesPlan.of(config()) == HalvesPlan(4, None)
    assert HalvesPlan.of(config(halves=2)) == HalvesPlan(2, None)
    none = HalvesPlan.of(config(halves=0))
    assert (none.halves, none.note) == (0, "crossval.halves is 0")
    network = HalvesPlan.of(
        build(RunConfig, {"model": {"fusion": "concat"}}, where="a test")
    )
    assert (network.halves, network.note) == (
        0,
        "it takes 8 fits of networks; ask with --halves 4",
    )
    assert HalvesPlan.of(config(split="whole_sites")).groups == "site"


def test_why_nothing_was_measured_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("not this")

    record = explanations(
        HalvesPlan(0, None, "why"), config(), simulated(), None, print
    )
    assert record == {"shares": None, "agreement": None, "note": "why"}
    few = simulated().subset(simulated().patients[:5])
    record = explanations(HalvesPlan(1, None), config(), few, None, print)
    assert record["agreement"] is None
    assert "folds need at least" in str(record["note"])
    monkeypatch.setattr(module, "measure_agreement", refuse)
    with pytest.raises(InputError, match="not this"):
        explanations(HalvesPlan(1, None), config(), few, None, print)


@pytest.mark.slow
def test_a_run_says_what_its_model_uses(tmp_path: Path) -> None:
    result = survfuse.cross_validate(
        survfuse.SurvivalFusion.from_config(CONFIG),
        simulated(),
        folds=2,
        networks=False,
        controls=False,
        robustness=False,
        halves=1,
        out=tmp_path,
    )
    terms = result.terms
    assert terms is not None
    total = terms.drop(columns=["patient_id", "repeat", "fold"]).sum(axis=1)
    np.testing.assert_allclose(total, result.predictions["log_risk"], atol=1e-6)
    assert result.agreement is not None
    assert {"term", "columns", "genes", "tiles"} <= set(result.agreement["level"])
    again = Result.read(tmp_path)
    assert again.terms is not None
    pd.testing.assert_frame_equal(again.terms, terms)
    assert again.agreement is not None
    pd.testing.assert_frame_equal(again.agreement, result.agreement)
    assert (tmp_path / "agreement.csv").exists()
    check = {row["id"]: row["status"] for row in result.checks or ()}["SRV025"]
    assert check in {"ok", "warning", "not applicable"}


@pytest.mark.parametrize("name", ["blood", "patient_id", "repeat", "fold", "constant"])
def test_a_modality_with_the_name_of_a_column_has_no_terms(
    tmp_path: Path,
    name: str,
) -> None:
    files = small(tmp_path)
    files.spec["modalities"] = {name: files.spec.pop("clinical")}
    fold = FoldContext.of(loaded(files))
    config = quick(fusion="late_cox").config
    fit = make_estimator(config).fit(fold)
    found = terms_of_fold(fold, fit, config, fit.source)
    assert (found is not None) == (name == "blood")
