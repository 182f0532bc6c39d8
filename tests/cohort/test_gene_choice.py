"""Genes named by a list, by gene sets or by a bundle, in another spelling than the matrix has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from survfuse._errors import TransformError
from survfuse.cohort import ExpressionData
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.config import FitConfig
from survfuse.readers.expression import Expression

TRAIN = tuple(f"p{row}" for row in range(8))
SYMBOLS = ("TP53", "HLA-A", "C1orf112", "EGFR", "MYC", "KRAS")
ENSEMBL = tuple(f"ENSG{number:011d}" for number in range(6))


def data_of(
    genes: tuple[str, ...],
    kind: str = "symbol",
    patients: tuple[str, ...] = TRAIN,
) -> ExpressionData:
    values = (
        np.random.default_rng(0)
        .normal(6, 1, (len(patients), len(genes)))
        .astype(np.float32)
    )
    expression = Expression(values, genes, patients, "vst", kind, "memory", "")
    return ExpressionData("expression", expression, patients)


def fit(data: ExpressionData, **config: Any) -> ExpressionTransform:
    return ExpressionTransform.fit(
        data,
        TRAIN,
        FitConfig(**{"expression_components": None, **config}),
    )


@pytest.mark.parametrize(
    ("genes", "kind", "listed"),
    [
        (SYMBOLS, "symbol", ["tp53", "HLA.A", "C1ORF112", "EGFR", "Myc"]),
        (ENSEMBL, "ensembl", [f"{gene}.7" for gene in ENSEMBL[:5]]),
    ],
)
def test_lists_and_sets_name_genes_in_another_spelling(
    genes: tuple[str, ...],
    kind: str,
    listed: list[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "genes.txt").write_text("\n".join([*listed, "ABSENT"]))
    chosen = fit(data_of(genes, kind), expression_genes=tmp_path / "genes.txt")
    assert chosen.genes == genes[:5]
    assert (
        "gene(s) have the same name but for letter case, version or punctuation"
        in chosen.notes[0]
    )
    assert f"{genes[0]} for {listed[0]}" in chosen.notes[0]
    assert chosen.notes[1] == "expression: 1 listed genes are not measured: ABSENT"
    (tmp_path / "sets.gmt").write_text("\t".join(["SET", "url", *listed]))
    averaged = fit(data_of(genes, kind), expression_gene_sets=tmp_path / "sets.gmt")
    assert averaged.features == ("SET",)
    assert averaged.sets is not None
    assert averaged.sets.indices.tolist() == [0, 1, 2, 3, 4]
    assert averaged.notes[0].endswith("(sets.gmt)")


@pytest.mark.parametrize(
    ("trained", "given", "kind"),
    [
        (SYMBOLS, ("tp53", "HLA.A", "C1ORF112", "Egfr", "MYC", "KRAS"), "symbol"),
        (
            tuple(f"{gene}.5" for gene in ENSEMBL),
            ENSEMBL,
            "ensembl",
        ),  # a bundle that kept versions
    ],
)
def test_a_new_cohort_names_genes_in_another_spelling(
    trained: tuple[str, ...],
    given: tuple[str, ...],
    kind: str,
) -> None:
    transform = fit(data_of(trained, kind))
    values, coverage, remarks = transform.apply(data_of(given, kind), TRAIN)
    assert (
        values.tobytes() == transform.apply(data_of(trained, kind), TRAIN)[0].tobytes()
    )
    assert coverage.tolist() == [1.0] * 8
    ((patient, _, _, what, detail),) = remarks
    assert (patient, what) == ("", "gene names")
    assert f"{given[0]} for {trained[0]}" in detail


def test_too_few_genes_are_refused_with_names_of_both_sides() -> None:
    with pytest.raises(
        TransformError,
        match=r"too few of the 6 training genes: .* are called TP53, HLA-A, .* of this cohort A, B",
    ):
        fit(data_of(SYMBOLS)).apply(data_of(("A", "B")), TRAIN)


def test_genes_in_rows_are_refused_with_the_orientation() -> None:
    turned = data_of(("p0", "p1"), patients=SYMBOLS)
    with pytest.raises(
        TransformError,
        match=r"expected patients in rows, got training genes .* `orientation`",
    ):
        fit(data_of(SYMBOLS)).apply(turned, SYMBOLS)
