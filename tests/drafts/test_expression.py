"""Orientation, names and unit of a matrix are read off it, or left blank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse.drafts.draft import Section
from survfuse.drafts.expression import (
    gene_ids,
    guess_unit,
    put_expression,
    shared_endings,
)
from survfuse.drafts.guess import Blank, Guess
from survfuse.readers.expression import read_expression

IDS = [f"P{i}" for i in range(12)]
SYMBOLS = ["TP53", "EGFR", "MYC", "KRAS", *(f"GENE{i}" for i in range(150))]
RNG = np.random.default_rng(3)
COUNTS = RNG.negative_binomial(2, 0.01, (12, len(SYMBOLS))).astype(float)
TPM = 1e6 * COUNTS / COUNTS.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (COUNTS, "counts"),
        (TPM, "tpm"),
        (np.log2(TPM + 1), "log2tpm"),
        (RNG.normal(size=COUNTS.shape), "zscore"),
    ],
)
def test_a_unit_that_the_numbers_say_is_written(values: np.ndarray, unit: str) -> None:
    guess = guess_unit(values, Path("m.csv"))
    assert isinstance(guess, Guess)
    assert (guess.value, guess.certain) == (unit, True)


def test_a_log_scale_of_unknown_origin_is_a_blank_with_candidates() -> None:
    blank = guess_unit(RNG.uniform(2, 14, COUNTS.shape), Path("m.csv"))
    assert isinstance(blank, Blank)
    units = [str(choice.value) for choice in blank.choices]
    assert "vst" in units
    assert not {"counts", "tpm", "zscore"} & set(units)


@pytest.mark.parametrize(
    ("genes", "kind"),
    [
        (SYMBOLS, "symbol"),
        (["ENSG00000141510.18", "ENSG00000182378.15_PAR_Y", "N_unmapped"], "ensembl"),
        (["7157", "1956", "4609"], "entrez"),
    ],
)
def test_names_of_genes(genes: list[str], kind: str) -> None:
    assert gene_ids(genes).value == kind


@pytest.mark.parametrize("by_patient", [True, False])
def test_what_is_written_reads_the_matrix(tmp_path: Path, by_patient: bool) -> None:
    frame = pd.DataFrame(COUNTS, index=IDS, columns=SYMBOLS)
    path = tmp_path / "m.csv"
    (frame if by_patient else frame.T).to_csv(path)
    section = Section()
    assert put_expression(section, path, IDS) == IDS
    made = {
        name: item.value
        for name, item in section.items.items()
        if isinstance(item, Guess)
    }
    assert ("orientation" in made) is not by_patient
    expression = read_expression(
        path,
        unit=str(made["unit"]),
        genes=str(made["genes"]),
        orientation="patients_by_genes" if by_patient else "genes_by_patients",
    )
    assert list(expression.patients) == IDS


def test_endings_of_a_table_of_several_kinds(shared_data: Path) -> None:
    from survfuse.drafts.header import column_names

    names = column_names(shared_data / "tcga_luad" / "omics_z.csv.gz")
    assert shared_endings(names) == ["_rnaseq", "_cnv", "_mut"]
    assert shared_endings(["case_id", "slide_id", "TP53", "MYC"]) == []
