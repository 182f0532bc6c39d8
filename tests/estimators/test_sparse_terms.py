from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from running import bits, loaded, members, quick, small
from survfuse._errors import ConfigError
from survfuse.cohort import Cohort
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators import FoldContext, outcomes, stacked_cox
from survfuse.estimators.linear_cox import MIXING, LinearCox
from survfuse.estimators.stacked_cox import cross_fitted
from survfuse.estimators.stacked_risk import StackedRisk
from survfuse.survival.sparse_cox import fit_sparse_cox

PATIENTS, GENES = 90, 60
CONFIG = FitConfig.of(
    expression_components=4,
    bag_components=3,
    selection_folds=3,
    device="cpu",
    anchor_bags="mean",
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Two genes of sixty decide, and components of all of them hide it."""
    files = small(tmp_path_factory.mktemp("cohort"), PATIENTS)
    rng = np.random.default_rng(2)
    ids = files.patients["patient_id"]
    genes = rng.normal(size=(PATIENTS, GENES))
    genes[:, 2:] += rng.normal(size=(PATIENTS, 6)) @ rng.normal(size=(6, GENES - 2))
    files.expression = pd.DataFrame(
        genes,
        index=ids,
        columns=[f"G{k}" for k in range(GENES)],
    )
    files.expression.index.name = "patient_id"
    risk = 1.2 * genes[:, 0] - 1.2 * genes[:, 1]
    files.patients["os_days"] = np.ceil(
        900 * rng.exponential(size=PATIENTS) * np.exp(-risk),
    ).astype(int)
    return loaded(files)


def sparse_modalities(cohort: Cohort, **fields: Any) -> frozenset[str]:
    fold = FoldContext.of(cohort)
    inner = inner_folds(fold.event, 3, 0)
    config = CONFIG.model_copy(update=fields)
    return stacked_cox.sparse_modalities(fold, config, inner)


def test_a_sparse_anchor_is_the_sparse_cox_of_who_has_the_genes(cohort: Cohort) -> None:
    rng = np.random.default_rng(0)
    time, event = outcomes(cohort, cohort.patients)
    x, has = rng.normal(size=(PATIENTS, 30)) + 5, rng.random(PATIENTS) < 0.8
    x[:, 0] -= 2 * np.log(time)
    block = np.where(has[:, None], x, 99.0), has
    anchor = LinearCox.fit({"rna": block}, time, event, sparse=True)
    alone = fit_sparse_cox(
        x[has],
        time[has],
        event[has],
        penalty=anchor.penalty,
        mixing=MIXING,
    )
    np.testing.assert_allclose(anchor.coef["rna"], alone.coef, atol=1e-7)
    assert anchor.coef["rna"][0] > 0
    risk = anchor.risk({"rna": (x, has)})
    assert risk[has].mean() == pytest.approx(0, abs=1e-9)
    assert (risk[~has] == 0).all()


def test_genes_are_handed_over_where_they_are_asked_for(cohort: Cohort) -> None:
    plain = Transforms.fit(cohort, cohort.patients[:60], CONFIG)
    genes = Transforms.fit(
        cohort,
        cohort.patients[:60],
        CONFIG,
        as_genes=("expression",),
    )
    assert plain.dims["expression"] == 4
    assert genes.feature_names["expression"] == tuple(f"G{k}" for k in range(GENES))
    assert {name: dim for name, dim in genes.dims.items() if name != "expression"} == {
        name: dim for name, dim in plain.dims.items() if name != "expression"
    }


@pytest.mark.slow
def test_the_summary_names_the_genes_and_the_network_reads_no_other(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    model = quick(**{**CONFIG.parameters(), "anchor_vectors": "sparse"}).fit(cohort)
    assert model.fitted is not None
    kept = model.fitted.summary["anchored"]["kept"]["expression"]
    assert {"G0", "G1"} <= set(kept)
    assert len(kept) < GENES / 2
    assert kept["G0"] > 0 > kept["G1"]
    sizes = [abs(value) for value in kept.values()]
    assert sizes == sorted(sizes, reverse=True)
    stack = model.fitted.model
    assert isinstance(stack, StackedRisk)
    weights = stack.terms.modalities["expression"].coef["expression"]
    names = model.fitted.transforms.feature_names["expression"]
    assert {names[place] for place in np.flatnonzero(weights)} == set(kept)
    again = type(model).load(model.save(tmp_path / "bundle"))
    np.testing.assert_array_equal(
        model.predict(cohort).log_risk,
        again.predict(cohort).log_risk,
    )
    assert again.fitted.summary["anchored"]["kept"] == {"expression": kept}


def test_best_is_whichever_inner_folds_prefer(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sparse_modalities(cohort) == frozenset()
    assert sparse_modalities(cohort, anchor_vectors="sparse") == {"expression"}
    clinical = {"anchor_vectors": "sparse", "modalities": ("clinical",)}
    assert sparse_modalities(cohort, **clinical) == set()
    assert sparse_modalities(cohort, anchor_vectors="best") == {"expression"}, (
        "two genes beat four components here"
    )
    time, _ = outcomes(cohort, cohort.patients)
    real = cross_fitted

    def clairvoyant(*given: Any) -> np.ndarray:
        risks = real(*given)
        return risks if len(given) > 3 else -np.log(time)[:, None]

    monkeypatch.setattr(stacked_cox, "cross_fitted", clairvoyant)
    assert sparse_modalities(cohort, anchor_vectors="best") == set(), (
        "components that know the outcome beat two genes"
    )


@pytest.mark.slow
def test_default_and_best_that_prefers_components_are_the_same_bit_by_bit(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stacked_cox, "is_better", lambda *_: False)
    fields = CONFIG.parameters()
    assert bits(quick(**fields).fit(cohort)) == bits(
        quick(**{**fields, "anchor_vectors": "best"}).fit(cohort),
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sparse", "best"])
def test_nothing_of_other_patients_is_learned(cohort: Cohort, how: str) -> None:
    train, other = cohort.patients[:60], cohort.patients[60:]
    assert cohort.outcome is not None
    outcome = cohort.outcome.copy()
    outcome.loc[list(other), "time"] *= 3
    outcome.loc[list(other), "event"] = ~outcome.loc[list(other), "event"]
    model = {**CONFIG.parameters(), "anchor_vectors": how}
    told = bits(quick(**model).fit(cohort, train))
    assert told == bits(quick(**model).fit(replace(cohort, outcome=outcome), train))
    assert told == bits(quick(**model).fit(cohort.subset(train)))


def test_gene_sets_may_be_chosen_sparsely_too(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text(
        "\n".join(
            f"S{k}\turl\t" + "\t".join(f"G{g}" for g in range(k * 6, k * 6 + 6))
            for k in range(GENES // 6)
        ),
    )
    model = quick(
        fusion="anchored",
        anchor_bags="mean",
        anchor_vectors="sparse",
        expression_components=None,
        expression_gene_sets=path,
    ).fit(cohort)
    assert model.fitted is not None
    assert model.fitted.transforms.dims["expression"] == 10
    assert set(model.fitted.summary["anchored"]["kept"]["expression"]) <= {
        f"S{k}" for k in range(10)
    }


def test_a_network_weighs_gene_sets_end_to_end(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("A\turl\tG0\tG1\tG2\tG3\tG4\nB\turl\tG4\tG5\tG6\tG7\tG8\tG9")
    model = quick(
        expression_encoder="gene_set",
        expression_components=None,
        expression_gene_sets=path,
    ).fit(cohort)
    assert model.fitted is not None
    network: Any = members(model)[0]
    assert network.branches["expression"].weight.shape == (11,)
    assert model.fitted.summary["modalities"]["expression"]["inputs"] == 10
    again = type(model).load(model.save(tmp_path / "bundle"))
    np.testing.assert_array_equal(
        model.predict(cohort).log_risk,
        again.predict(cohort).log_risk,
    )
    assert bits(model) == bits(again)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"expression_encoder": "linear"},
            "'anchored' trains no encoder, got 'linear'",
        ),
        (
            {"fusion": "concat", "expression_encoder": "gene_set"},
            "'gene_set' needs the sets: give a GMT file as inputs.expression_gene_sets",
        ),
        (
            {
                "fusion": "concat",
                "expression_gene_sets": "x.gmt",
                "expression_components": 8,
            },
            "expression_gene_sets and expression_components exclude each other",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        FitConfig.of(**fields)
