"""Counts as the GDC gives them: a file per sample, named by the sample sheet."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.readers import Expression, read_expression

HEADER = (
    "# gene-model: GENCODE v36\n"
    "gene_id\tgene_name\tgene_type\tunstranded\tstranded_first\tstranded_second\t"
    "tpm_unstranded\tfpkm_unstranded\tfpkm_uq_unstranded\n"
)
SUMMARIES = "".join(
    f"N_{name}\t\t\t{7 * place}\t1\t2\t\t\t\n"
    for place, name in enumerate(("unmapped", "multimapping", "noFeature", "ambiguous"))
)
GENES = [("ENSG00000000003.15", "TSPAN6"), ("ENSG00000000005.6", "TNMD")]
ENDING = ".rna_seq.augmented_star_gene_counts.tsv"


def text(first: int, second: int) -> str:
    rows = [
        f"{gene}\t{symbol}\tprotein_coding\t{count}\t1\t2\t{count / 4}\t{count / 8}\t9.5\n"
        for (gene, symbol), count in zip(GENES, (first, second), strict=True)
    ]
    return HEADER + SUMMARIES + "".join(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `gdc-client` leaves: a folder for each file, the second packed."""
    root = tmp_path / "gdc"
    for place, (name, content) in enumerate(
        {"u1": text(10, 3), "u2": text(0, 5)}.items()
    ):
        (root / name).mkdir(parents=True)
        path = root / name / f"{name}{ENDING}"
        if place:
            path.with_name(f"{path.name}.gz").write_bytes(
                gzip.compress(content.encode())
            )
        else:
            path.write_text(content)
    return root


def sheet(folder: Path, *names: str) -> Path:
    rows = [
        f"x\t{name}{ENDING}\tP\tTCGA-05-000{n}\tTCGA-05-000{n}-01A\n"
        for n, name in enumerate(names)
    ]
    path = folder / "gdc_sample_sheet.2024-01-01.tsv"
    path.write_text(
        "File ID\tFile Name\tProject ID\tCase ID\tSample ID\n" + "".join(rows)
    )
    return path


def read(folder: Path, **choices: Any) -> Expression:
    return read_expression(folder, **({"unit": "counts", "genes": "ensembl"} | choices))


def test_counts_of_samples(folder: Path) -> None:
    got = read(folder)
    assert got.patients == ("u1", "u2")
    sheet(folder, "u1", "u2")
    got = read(folder)
    assert got.patients == ("TCGA-05-0000-01A", "TCGA-05-0001-01A")
    assert got.genes == ("ENSG00000000003", "ENSG00000000005")
    np.testing.assert_array_equal(got.values, [[10, 3], [0, 5]])
    assert "4 name(s) are no gene and are left out" in " ".join(got.doubts)


@pytest.mark.parametrize(("unit", "part"), [("counts", 1), ("tpm", 4), ("fpkm", 8)])
def test_the_column_of_a_unit(folder: Path, unit: str, part: int) -> None:
    got = read(folder, unit=unit, genes="symbol")
    assert got.genes == ("TSPAN6", "TNMD")
    np.testing.assert_array_equal(got.values * part, [[10, 3], [0, 5]])


def test_refusals(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"hold counts, tpm and fpkm .*, not log2tpm of"
    ):
        read(folder, unit="log2tpm")
    with pytest.raises(
        InputError, match=r"is read without `sheet` \('A' is declared\)"
    ):
        read(folder, sheet="A")
    sheet(folder, "u1")
    with pytest.raises(InputError, match=r"names no sample for u2\.rna_seq"):
        read(folder)
    sheet(folder, "u1", "u2")
    other = folder / "u1" / f"u1{ENDING}"
    other.write_text(
        other.read_text().replace("ENSG00000000005.6", "ENSG00000000006.6")
    )
    with pytest.raises(InputError, match=rf"u2{ENDING}\.gz: lists other genes than u1"):
        read(folder)
    other.write_text("gene_id\tunstranded_x\nENSG00000000005.6\t1\n")
    with pytest.raises(InputError, match="no column 'unstranded', as files of the GDC"):
        read(folder)
