"""Genes of several columns: refused, or made one by the declared rule alone."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse.readers import read_expression

NAN = np.nan
ROWS = "id,A,B,A,C,A\nP1,1,2,3,4,8\nP2,,5,,6,\nP3,7,8,,9,2\n"


def read(path: Path, text: str, **choices: Any) -> Any:
    path.write_text(text)
    declared = {"unit": "tpm", "genes": "symbol"}
    return read_expression(path, **(declared | choices))


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("mean", [4, NAN, 4.5]),
        ("max", [8, NAN, 7]),
        ("sum", [12, NAN, NAN]),
        ("first", [1, NAN, 7]),
    ],
)
def test_rules(tmp_path: Path, rule: str, wanted: list[float]) -> None:
    got = read(tmp_path / "t.csv", ROWS, duplicates=rule)
    assert got.genes == ("A", "B", "C")
    np.testing.assert_array_equal(got.values[:, 0], wanted)
    np.testing.assert_array_equal(got.values[:, 1:], [[2, 4], [5, 6], [8, 9]])
    (note,) = got.notes
    assert note.startswith("1 gene(s) stand in several columns (3 in all); the value")
    assert note.endswith(": A")


def test_rows_of_one_gene_are_one_as_well(tmp_path: Path) -> None:
    columns = [line.split(",") for line in ROWS.splitlines()]
    turned = "\n".join(",".join(cells) for cells in zip(*columns, strict=True))
    for rule in ("mean", "max", "sum", "first"):
        one = read(tmp_path / "t.csv", ROWS, duplicates=rule)
        other = read(
            tmp_path / "u.csv",
            turned,
            duplicates=rule,
            orientation="genes_by_patients",
        )
        np.testing.assert_array_equal(one.values, other.values)
        assert one.notes == other.notes


def test_two_versions_are_one_gene(tmp_path: Path) -> None:
    text = (
        "id,ENSG00000000003.5,ENSG00000000003.6,ENSG00000000005.1\nP1,1,3,5\nP2,2,4,6\n"
    )
    got = read(tmp_path / "t.csv", text, genes="ensembl", duplicates="max")
    assert got.genes == ("ENSG00000000003", "ENSG00000000005")
    np.testing.assert_array_equal(got.values, [[3, 5], [4, 6]])


def test_the_hint_of_the_refusal_works(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"genes appear twice: A; keep one of each, or say .*`duplicates: mean`",
    ):
        read(tmp_path / "t.csv", ROWS)
    assert len(read(tmp_path / "t.csv", ROWS, duplicates="mean").genes) == 3


@pytest.mark.parametrize("unit", ["log2tpm", "log2counts", "log2fpkm", "vst"])
def test_logarithms_are_not_added_up(tmp_path: Path, unit: str) -> None:
    message = rf"`duplicates: sum` adds values up, but {unit} are logarithms"
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.csv", ROWS, unit=unit, duplicates="sum")
    with pytest.raises(InputError, match=r"but zscore are z-scores, whose sum is no"):
        read(tmp_path / "t.csv", ROWS, unit="zscore", duplicates="sum")


def test_no_rule_makes_one_gene_of_dates(tmp_path: Path) -> None:
    text = "id,1-Mar,1-Mar,B\nP1,1,2,3\n"
    with pytest.raises(InputError, match=r"a spreadsheet made dates of several genes"):
        read(tmp_path / "t.csv", text, duplicates="mean")
    with pytest.raises(InputError, match="unknown rule for duplicates 'median'; known"):
        read(tmp_path / "t.csv", ROWS, duplicates="median")


def test_a_cbioportal_matrix(tmp_path: Path) -> None:
    text = (
        "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-05-4244-01\tTCGA-05-4249-01\n"
        "TP53\t7157\t10.5\t11.25\n\t100130426\t0\t1.5\nEGFR\t1956\t3\tNA\nTP53\t7157\t1\t2\n"
    )
    got = read(
        tmp_path / "data_mrna_seq_v2_rsem.txt",
        text,
        orientation="genes_by_patients",
        duplicates="sum",
    )
    assert got.patients == ("TCGA-05-4244-01", "TCGA-05-4249-01")
    assert got.genes == ("TP53", "EGFR")
    np.testing.assert_array_equal(got.values, [[11.5, 3], [13.25, NAN]])
    assert "1 row(s) without the name of a gene are left out" in " ".join(got.doubts)
    assert "left out: 'Entrez_Gene_Id'" in " ".join(got.doubts)
    by_id = read(
        tmp_path / "u.txt",
        text.replace("TP53\t7157\t1\t2\n", ""),
        orientation="genes_by_patients",
        genes="entrez",
        patient_column="Entrez_Gene_Id",
    )
    assert by_id.genes == ("7157", "100130426", "1956")


def test_a_xena_matrix(tmp_path: Path) -> None:
    genes = [f"ENSG{number:011}.{number}" for number in range(1, 31)]
    generator = np.random.default_rng(0)
    values = np.log2(generator.integers(0, 5000, (30, 2)) + 1.0)
    lines = ["Ensembl_ID\tTCGA-05-4244-01A\tTCGA-05-4249-01A"]
    for gene, row in zip(genes, values, strict=True):
        lines.append("\t".join([gene, *map(str, row)]))
    lines += ["__no_feature\t20.1\t20.2"]
    path = tmp_path / "TCGA-LUAD.star_counts.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    got = read_expression(
        path,
        unit="log2counts",
        genes="ensembl",
        orientation="genes_by_patients",
    )
    assert got.values.shape == (2, 30)
    np.testing.assert_array_equal(got.values, values.T.astype(np.float32))
    assert got.genes[0] == "ENSG00000000001"


def test_a_suffix_leaves_words_aside(tmp_path: Path) -> None:
    text = (
        "case_id,site,TP53_rnaseq,oncotree,EGFR_rnaseq,age\n"
        "P1,Lung,1.5,LUAD,2.5,sixty\nP2,,0.5,#N/A!,3.5,61\n"
    )
    got = read(tmp_path / "t.csv", text, gene_suffix="_rnaseq")
    assert got.genes == ("TP53", "EGFR")
    np.testing.assert_array_equal(got.values, [[1.5, 2.5], [0.5, 3.5]])


def test_samples_may_be_left_to_the_caller(tmp_path: Path) -> None:
    text = "id,A,B\nP1,1,2\nP1,3,4\n"
    with pytest.raises(InputError, match="patients appear twice: P1; keep one of each"):
        read(tmp_path / "t.csv", text)
    assert read(tmp_path / "t.csv", text, repeated_patients=True).patients == (
        "P1",
        "P1",
    )
