from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import survfuse as sf
from split_models import gene_set_file, toy_cohort, toy_explanation, toy_model
from survfuse._errors import InputError
from survfuse.cohort import transform_inputs
from survfuse.datasets import simulate, tcga_luad
from survfuse.explanations import Explanation, explain
from survfuse.explanations import gene_weights as module
from survfuse.explanations.gene_weights import gene_contributions

WAYS = (
    "components",
    "genes",
    "values as they are",
    "sets",
    "weighed sets",
    "hidden layers",
    "members",
)


def parameters_of(way: str) -> dict[str, Any]:
    """How expression is read."""
    genes = {"expression_components": None}
    if way.endswith("sets"):
        encoder = "gene_set" if way == "weighed sets" else "mlp"
        return {
            **genes,
            "expression_gene_sets": gene_set_file(),
            "expression_encoder": encoder,
        }
    return {
        "components": {},
        "genes": genes,
        "values as they are": {**genes, "expression_scaling": "none"},
        "hidden layers": {"vector_hidden": (7, 5)},
        "members": {**genes, "vector_hidden": (7,), "members": 2},
    }[way]


def changed(cohort: sf.Cohort, patient: str, gene: str, step: float) -> sf.Cohort:
    """The cohort with another value of one gene of one patient."""
    data = cohort.modalities["expression"]
    matrix = data.expression
    values = np.array(matrix.values, np.float64)
    row, column = matrix.patients.index(patient), matrix.genes.index(gene)
    values[row, column] += step
    other = dataclasses.replace(matrix, values=values.astype(np.float32))
    return dataclasses.replace(
        cohort,
        modalities={
            **cohort.modalities,
            "expression": dataclasses.replace(data, expression=other),
        },
    )


@pytest.mark.parametrize("way", WAYS)
def test_genes_of_a_patient_add_up_to_the_term(way: str) -> None:
    explanation = toy_explanation("concat", **parameters_of(way))
    for patient in explanation.patients[:6]:
        rows = explanation.genes_of(patient)
        total = rows["contribution"].sum()
        assert total == pytest.approx(
            explanation.terms.loc[patient, "expression"], abs=1e-6
        )
        assert "(not attributed)" not in set(rows["gene"])


@pytest.mark.parametrize("fusion", ["anchored", "late_cox", "sparse_cox"])
def test_genes_of_a_stack_add_up_to_the_term(fusion: str) -> None:
    explanation = toy_explanation(fusion)
    term = explanation.terms.get("expression", pd.Series(0.0, explanation.patients))
    for patient in explanation.patients[:6]:
        total = explanation.genes_of(patient)["contribution"].sum()
        assert total == pytest.approx(term[patient], abs=1e-6)


@pytest.mark.parametrize("way", ["components", "genes", "values as they are", "sets"])
def test_a_weight_is_what_one_unit_more_changes(way: str) -> None:
    fusion = "ridge_cox" if way != "sets" else "late"
    explanation = toy_explanation(
        fusion, modalities=("expression",), **parameters_of(way)
    )
    transform = explanation.explained.fitted.transforms.fitted["expression"]
    cohort, model = toy_cohort(), sf.SurvivalFusion(fusion=fusion)
    model.fitted = explanation.explained.fitted
    weights = explanation.genes.set_index("gene")["weight"]
    patient = next(p for p in cohort.patients if cohort.present.loc[p, "expression"])
    before = model.predict(cohort, [patient]).log_risk[0]
    z_scores = explanation.genes_of(patient).set_index("gene")["z"]
    for gene in weights.index[:3]:
        sd = transform.sd[transform.genes.index(gene)]
        towards = -1 if z_scores[gene] > 0 else 1  # not beyond the limit of z-scores
        other = changed(cohort, patient, gene, towards * sd)
        rise = model.predict(other, [patient]).log_risk[0] - before
        assert rise == pytest.approx(towards * weights[gene], rel=2e-3, abs=2e-6)


def test_the_mean_gene_contributes_nothing() -> None:
    explained = toy_explanation("ridge_cox").explained
    blocks = list(gene_contributions(explained, "expression"))
    values = np.concatenate([block.values for block in blocks])
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-9)


def test_values_are_those_of_the_cohort() -> None:
    explanation, cohort = toy_explanation("anchored"), toy_cohort()
    data = cohort.modalities["expression"]
    patient = data.patients[0]
    rows = explanation.genes_of(patient)
    assert rows["gene"].iloc[-1] == "(presence)"
    genes = rows.iloc[:-1]
    sizes = genes["contribution"].abs()
    assert sizes.is_monotonic_decreasing
    matrix = dict(zip(data.expression.genes, data.values([patient])[0], strict=True))
    np.testing.assert_allclose(genes["value"], [matrix[g] for g in genes["gene"]])
    limit = explanation.explained.fitted.transforms.fitted["expression"].clip
    assert genes["z"].abs().max() <= limit


def test_a_patient_without_expression_has_its_absence_alone() -> None:
    explanation, cohort = toy_explanation("anchored"), toy_cohort()
    patient = next(
        p for p in cohort.patients if not cohort.present.loc[p, "expression"]
    )
    rows = explanation.genes_of(patient)
    assert rows["gene"].tolist() == ["(presence)"]
    with pytest.raises(InputError, match="no patient 'nobody'"):
        explanation.genes_of("nobody")


def test_weights_and_spreads_of_all_patients() -> None:
    explanation = toy_explanation("concat", **parameters_of("hidden layers"))
    frame = explanation.genes
    assert frame["weight"].abs().is_monotonic_decreasing
    gene = frame.iloc[0]
    data = toy_cohort().modalities["expression"]
    own, sizes = [], []
    for patient in data.patients:
        rows = explanation.genes_of(patient)
        rows = rows[~rows["gene"].str.startswith("(")].set_index("gene")["contribution"]
        own.append(rows[gene["gene"]])
        # where no hidden unit is active, no gene contributes
        sizes.append(abs(own[-1]) / max(rows.abs().sum(), 1e-300))
    assert gene["sd"] == pytest.approx(np.std(own), rel=1e-9)
    assert gene["mean_abs"] == pytest.approx(np.abs(own).mean(), rel=1e-9)
    assert gene["largest_share"] == pytest.approx(max(sizes), rel=1e-9)
    assert gene["largest_patient"] == data.patients[int(np.argmax(sizes))]


def test_blocks_of_patients_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = toy_explanation("concat", **parameters_of("members"))
    whole = explanation.genes
    monkeypatch.setattr(transform_inputs, "VALUES_AT_ONCE", 1)
    pd.testing.assert_frame_equal(module.genes(explanation.explained), whole)


def test_one_gene_that_decides_is_marked() -> None:
    cohort = toy_cohort()
    patient = cohort.modalities["expression"].patients[3]
    model = sf.SurvivalFusion(
        fusion="ridge_cox",
        modalities=("expression",),
        expression_clip=None,
        expression_components=None,
    ).fit(cohort)
    gene = explain(model, cohort).genes["gene"].iloc[0]
    assert not explain(model, cohort).genes["dominates"].any()
    frame = explain(model, changed(cohort, patient, gene, 5_000.0)).genes
    row = frame.set_index("gene").loc[gene]
    assert row["dominates"]
    assert row["largest_patient"] == patient
    assert row["largest_share"] > 0.99


def test_weights_are_there_where_no_explained_patient_has_the_genes() -> None:
    cohort = toy_cohort()
    lacking = [p for p in cohort.patients if not cohort.present.loc[p, "expression"]]
    for fusion, ways, known in (
        ("ridge_cox", "genes", True),
        ("concat", "hidden layers", False),
        ("pairwise_residual", "weighed sets", False),
    ):
        everyone = toy_explanation(fusion, **parameters_of(ways))
        model = sf.SurvivalFusion(fusion=fusion)
        model.fitted = everyone.explained.fitted
        own = explain(model, cohort, lacking).genes.set_index("gene")["weight"]
        weights = everyone.genes.set_index("gene")["weight"]
        assert own.notna().all() == known
        if known:
            np.testing.assert_allclose(own[weights.index], weights, rtol=1e-9)


def test_a_model_without_genes_has_empty_frames() -> None:
    explanation = toy_explanation("concat", modalities=("clinical",))
    assert explanation.genes.empty
    assert explanation.genes_of(explanation.patients[0]).empty


def test_a_random_network_has_other_weights_than_a_fitted_model() -> None:
    real = toy_weights("ridge_cox")
    correlations = []
    for seed in range(12):
        random = toy_weights(
            "concat", learning_rate=1e-12, vector_hidden=(16,), seed=seed
        )
        correlations.append(spearmanr(real, random[real.index]).statistic)
    # one network on 40 genes: a standard deviation of .16
    assert abs(np.mean(correlations)) < 0.1


def toy_weights(fusion: str, **parameters: object) -> pd.Series:
    explanation = toy_explanation(
        fusion,
        modalities=("expression",),
        expression_components=None,
        **parameters,
    )
    return explanation.genes.set_index("gene")["weight"]


def test_genes_that_no_explained_patient_has_say_so() -> None:
    cohort = toy_cohort()
    known = cohort.modalities["expression"].patients
    without = [one for one in cohort.patients if one not in known]
    for fusion in ("late_cox", "gated"):
        found = explain(toy_model(fusion), cohort, without).genes
        assert found["sd"].isna().all()
        assert found["weight"].isna().all() == (fusion == "gated")
        (note,) = found.attrs["notes"]
        assert note.startswith("expression: no explained patient has it")
    assert toy_explanation("late_cox").genes.attrs["notes"] == []


@pytest.mark.slow
def test_genes_of_the_planted_modules_have_the_largest_weights(tmp_path: Path) -> None:
    path = simulate(
        tmp_path / "sim",
        patients=400,
        signal="additive",
        strength=1.5,
        tiles=4,
        tile_dim=4,
        genes=600,
        seed=5,
    )
    truth = json.loads((tmp_path / "sim" / "simulation.json").read_text())
    planted = {gene for genes in truth["rna_factor_genes"].values() for gene in genes}
    cohort = sf.load_cohort(path)
    model = sf.SurvivalFusion(modalities=("clinical", "expression")).fit(cohort)
    frame = explain(model, cohort).genes
    is_planted = frame["gene"].isin(planted).to_numpy()
    ranks = frame["weight"].abs().rank().to_numpy()
    ones = is_planted.sum()
    rank_sum = ranks[is_planted].sum() - ones * (ones + 1) / 2
    assert rank_sum / (ones * (len(frame) - ones)) >= 0.8


@pytest.mark.slow
def test_genes_of_luad_add_up(shared_data: Path, tmp_path: Path) -> None:
    cohort = sf.load_cohort(
        tcga_luad(tmp_path / "os", source=shared_data / "tcga_luad")
    )
    model = sf.SurvivalFusion(fusion="late_cox", modalities=("clinical", "expression"))
    explanation: Explanation = explain(model.fit(cohort), cohort)
    patient = cohort.modalities["expression"].patients[0]
    total = explanation.genes_of(patient)["contribution"].sum()
    assert total == pytest.approx(
        explanation.terms.loc[patient, "expression"], abs=1e-6
    )
    # DEFA5 of one patient lies at z = 7,378 in the published file; z-scores are limited
    assert not explanation.genes["dominates"].any()
