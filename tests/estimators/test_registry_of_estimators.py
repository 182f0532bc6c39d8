"""Every registered estimator is a whole model."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import survfuse
from running import loaded, quick, small
from survfuse._errors import ConfigError
from survfuse.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.estimators import (
    ESTIMATORS,
    Estimator,
    RiskModel,
    foreign_code,
    make_estimator,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), 40))


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_every_estimator_has_a_whole_card(name: str) -> None:
    card = ESTIMATORS[name]
    assert card.name == name
    assert card.summary
    assert card.source
    assert issubclass(card.build, Estimator)  # type: ignore[arg-type]
    assert issubclass(card.build.model, RiskModel)


@pytest.mark.parametrize(
    ("fusion", "name"),
    [
        ("anchored", "StackedCox"),
        ("concat", "NeuralNetwork"),
        ("late", "NeuralNetwork"),
    ],
)
def test_a_fusion_names_an_estimator_or_is_one_of_networks(
    fusion: str,
    name: str,
) -> None:
    assert type(make_estimator(FitConfig.of(fusion=fusion))).__name__ == name


@pytest.mark.parametrize("fusion", ["network", "stacked"])
def test_an_unknown_fusion_lists_estimators_and_fusions(fusion: str) -> None:
    with pytest.raises(
        ConfigError,
        match=f"^unknown fusion '{fusion}'; known: anchored, coattention.*ridge_cox",
    ):
        make_estimator(FitConfig.of(fusion=fusion))


@pytest.mark.parametrize("fusion", ["ridge_cox", "sparse_cox", "late_cox"])
def test_a_cox_model_has_no_other_head_or_loss(fusion: str) -> None:
    with pytest.raises(
        ConfigError,
        match=f"'{fusion}' is a Cox model.*head 'discrete'",
    ):
        make_estimator(FitConfig.of(fusion=fusion, head="discrete"))


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["ridge_cox", "sparse_cox", "late_cox"])
def test_a_baseline_is_a_whole_model(
    cohort: Cohort,
    fusion: str,
    tmp_path: Path,
) -> None:
    model = quick(fusion=fusion).fit(cohort, cohort.patients[:30])
    again = survfuse.load(model.save(tmp_path / "bundle"))
    test = cohort.patients[30:]
    risk = model.predict(cohort, test).log_risk
    np.testing.assert_array_equal(again.predict(cohort, test).log_risk, risk)
    assert risk.std() > 0


def test_a_sparse_cox_reads_few_genes(cohort: Cohort) -> None:
    fitted = quick(fusion="sparse_cox", modalities=("expression",)).fit(cohort).fitted
    assert fitted is not None
    assert fitted.transforms.feature_names["expression"][0] == "GENE1"
    coef = fitted.model.state()[1]["expression/coef"]
    assert (coef == 0).any()


def test_code_of_another_package_is_part_of_the_key_of_what_is_stored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert foreign_code(FitConfig()) == foreign_code(FitConfig(fusion="concat")) == ""
    file = tmp_path / "foreign_ridge.py"
    file.write_text(
        "from survfuse.estimators import RidgeCox\n\nclass Foreign(RidgeCox):\n    pass\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ESTIMATORS, "_cards", dict(ESTIMATORS._cards))
    foreign = importlib.import_module("foreign_ridge").Foreign
    ESTIMATORS.register("foreign", summary="a ridge", source="this test")(foreign)
    config = FitConfig(fusion="foreign")
    before = foreign_code(config)
    file.write_text(file.read_text() + "# changed\n")
    assert foreign_code(config) not in ("", before)
