from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from split_models import SETS, gene_set_file, toy_cohort, toy_explanation
from survfuse._errors import InputError, TransformError
from survfuse.explanations.gene_sets import set_contributions


def read_as_sets(encoder: str) -> dict[str, Any]:
    """Parameters of a model that reads the gene sets of the file."""
    return {
        "expression_gene_sets": gene_set_file(),
        "expression_components": None,
        "expression_encoder": encoder,
    }


def test_averaged_sets_have_weights() -> None:
    explanation = toy_explanation("concat", **read_as_sets("linear"))
    frame = explanation.gene_sets
    assert set(frame["set"]) == set(SETS)
    assert dict(zip(frame["set"], frame["genes"], strict=True)) == {
        "FIRST": 8,
        "SECOND": 10,
        "THIRD": 10,
    }
    assert frame["mean_abs"].is_monotonic_decreasing
    genes = explanation.genes.set_index("gene")["weight"]
    names = toy_cohort().modalities["expression"].expression.genes
    # a gene of THIRD alone has a tenth of the weight of its set
    third = frame.set_index("set").loc["THIRD", "weight"]
    assert genes[names[25]] == pytest.approx(third / 10, rel=1e-6)


@pytest.mark.parametrize("members", [1, 2])
def test_sets_that_a_network_weighs_add_up_to_the_genes(members: int) -> None:
    explanation = toy_explanation("concat", members=members, **read_as_sets("gene_set"))
    frame = explanation.gene_sets
    assert set(frame["set"]) == set(SETS)
    assert frame["weight"].isna().all()
    assert (frame["sd"] > 0).all()
    # THIRD shares no gene with another set: it is the sum of its genes
    sums = explanation.in_gene_sets(gene_set_file()).query("set == 'THIRD'")
    third = frame.set_index("set").loc["THIRD"]
    assert third["sd"] == pytest.approx(sums["contribution"].std(ddof=0), rel=1e-5)
    assert third["mean_abs"] == pytest.approx(
        sums["contribution"].abs().mean(), rel=1e-5
    )


def test_sets_of_curved_parts_are_followed_along_the_way() -> None:
    explanation = toy_explanation("pairwise_residual", **read_as_sets("gene_set"))
    third = explanation.gene_sets.set_index("set").loc["THIRD"]
    sums = explanation.in_gene_sets(gene_set_file()).query("set == 'THIRD'")
    assert third["sd"] == pytest.approx(sums["contribution"].std(ddof=0), rel=1e-5)


def test_models_that_read_no_sets_have_none() -> None:
    assert toy_explanation("anchored").gene_sets.empty
    # a ridge regression of the genes of sets reads genes
    assert toy_explanation("ridge_cox", **read_as_sets("gene_set")).gene_sets.empty


def test_contributions_in_the_sets_of_a_file_are_sums_of_genes() -> None:
    explanation = toy_explanation("anchored")
    frame = explanation.in_gene_sets(gene_set_file())
    names = toy_cohort().modalities["expression"].expression.genes
    have = toy_cohort().modalities["expression"].patients
    assert set(frame["patient_id"]) == set(have)
    rows = explanation.genes_of(have[4]).set_index("gene")["contribution"]
    own = frame[frame["patient_id"] == have[4]].set_index("set")["contribution"]
    for name, places in SETS.items():
        expected = sum(rows.get(names[place], 0.0) for place in places)
        assert own[name] == pytest.approx(expected, abs=1e-12)


def test_sets_without_a_gene_are_left_out_and_a_file_of_such_is_refused(
    tmp_path: Path,
) -> None:
    explanation = toy_explanation("anchored")
    gene = toy_cohort().modalities["expression"].expression.genes[7]
    path = tmp_path / "other.gmt"
    path.write_text(f"KNOWN\t\t{gene}\tNOSUCH1\nUNKNOWN\t\tNOSUCH2\n")
    frame = explanation.in_gene_sets(path)
    assert set(frame["set"]) == {"KNOWN"}
    assert np.isfinite(frame["contribution"]).all()
    path.write_text("UNKNOWN\t\tNOSUCH2\n")
    with pytest.raises(
        InputError, match=r"reads none of the genes of its 1 sets.*are called"
    ):
        explanation.in_gene_sets(path)
    no_path: Any = None
    with pytest.raises(InputError, match=r"^path: expected that of a GMT file, got"):
        explanation.in_gene_sets(no_path)
    path.write_text("UNKNOWN\n")
    with pytest.raises(TransformError, match="line 1: expected NAME<tab>DESCRIPTION"):
        explanation.in_gene_sets(path)


def test_a_model_without_genes_has_empty_frames() -> None:
    explanation = toy_explanation("concat", modalities=("clinical",))
    assert explanation.gene_sets.empty
    assert explanation.in_gene_sets(gene_set_file()).empty


@pytest.mark.parametrize("encoder", ["linear", "gene_set"])
def test_contributions_of_a_patient_are_those_of_genes_in_the_set(encoder: str) -> None:
    explanation = toy_explanation("concat", **read_as_sets(encoder))
    sets = set_contributions(explanation.explained)["expression"]
    assert (
        set_contributions(explanation.explained)["expression"] is sets
    )  # computed once
    sums = explanation.in_gene_sets(gene_set_file()).query("set == 'THIRD'")
    third = sums.set_index("patient_id")["contribution"]
    for row in sets.rows[:5].tolist():
        own = dict(zip(sets.names, sets.of(row), strict=True))
        assert own["THIRD"] == pytest.approx(third[explanation.patients[row]], rel=1e-4)
