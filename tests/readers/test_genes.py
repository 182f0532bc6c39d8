"""Names of genes: what is none, and which are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.readers import read_expression
from survfuse.readers.genes import (
    is_date,
    is_description,
    is_summary,
    match_genes,
    plain_name,
)

SUMMARIES = [
    *("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"),  # STAR
    *(
        "__no_feature",
        "__ambiguous",
        "__too_low_aQual",
        "__not_aligned",
        "__alignment_not_unique",
    ),  # htseq
    *("Assigned", "Unassigned_Unmapped", "Unassigned_NoFeatures"),  # featureCounts
]
DESCRIPTIONS = [
    *(
        "Geneid",
        "Chr",
        "Start",
        "End",
        "Strand",
        "Length",
        "EffectiveLength",
        "gene_name",
        "gene_type",
    ),
    *(
        "gene_id",
        "Description",
        "Hugo_Symbol",
        "Entrez_Gene_Id",
        "gene.name",
        "Gene Symbol",
        "gene_biotype",
    ),
]
DATES = [
    "1-Mar",
    "2-Sep",
    "Sep-02",
    "43891",
    "2024-03-01",
    "2024-03-01 00:00:00",
    "1/3/2024",
    "X1.Mar",
    "1. Mrz",
]
SYMBOLS = [
    "TP53",
    "HLA-A",
    "MARCHF1",
    "SEPTIN2",
    "DEC1",
    "MARS-AS1",
    "C1orf112",
    "RP11-34P13.7",
    "7SK",
    "H2AC6",
]


def ensembl(count: int, version: object = "") -> list[str]:
    return [f"ENSG{number:011d}{version}" for number in range(count)]


def write(path: Path, genes: list[str], patients: int = 4, **columns: object) -> Path:
    """A matrix of counts with genes in rows."""
    values = np.random.default_rng(0).poisson(50, (len(genes), patients))
    frame = pd.DataFrame(
        values,
        index=genes,
        columns=[f"P{number}" for number in range(patients)],
    )
    for place, (name, cells) in enumerate(columns.items()):
        frame.insert(place, name, cells)
    frame.to_csv(path, index_label="gene_id")
    return path


def read(
    path: Path,
    genes: str = "ensembl",
    unit: str = "counts",
    **more: object,
) -> object:
    return read_expression(
        path,
        unit=unit,
        genes=genes,
        orientation="genes_by_patients",
        **more,
    )  # type: ignore[arg-type]


def test_what_is_no_gene() -> None:
    assert all(map(is_summary, SUMMARIES))
    assert all(map(is_description, DESCRIPTIONS))
    assert all(map(is_date, DATES))
    for name in [*SYMBOLS, *ensembl(3), "7157"]:
        assert (is_summary(name), is_description(name), is_date(name)) == (
            False,
            False,
            False,
        ), name


@pytest.mark.parametrize("kind", ["ensembl", "symbol"])
def test_summary_rows_are_left_out_and_named(tmp_path: Path, kind: str) -> None:
    genes = (
        ensembl(30) if kind == "ensembl" else [f"GENE{number}" for number in range(30)]
    )
    got = read(write(tmp_path / "e.csv", [*SUMMARIES, *genes]), kind)
    assert got.genes == tuple(genes)
    assert got.doubts[0].startswith(
        "12 name(s) are no gene and are left out, of library sizes too: Assigned",
    )
    assert "N_unmapped" in got.doubts[0]
    alone = read(write(tmp_path / "a.csv", genes), kind)
    assert alone.doubts == got.doubts[1:]


def test_columns_that_describe_genes_are_left_out_and_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "e.csv",
        ensembl(20),
        gene_name="TP53",
        Length=1200,
        Chr="chr1;chr1",
    )
    got = read(path)
    assert got.patients == ("P0", "P1", "P2", "P3")
    assert got.doubts[0] == (
        "columns that are neither genes nor patients left out: 'gene_name', 'Length', 'Chr'"
    )
    pd.read_csv(path).to_parquet(tmp_path / "e.parquet")
    again = read(tmp_path / "e.parquet")
    assert again.patients == got.patients
    np.testing.assert_array_equal(again.values, got.values)


def test_spike_ins_among_ensembl_ids_are_left_out_and_named(tmp_path: Path) -> None:
    got = read(write(tmp_path / "e.csv", [*ensembl(20), "ERCC-00002", "total_reads"]))
    assert len(got.genes) == 20
    assert got.doubts[0].endswith("ERCC-00002, total_reads")


def test_dates_are_named(tmp_path: Path) -> None:
    genes = ["TP53", "EGFR", "MYC", "A1BG", "1-Mar", "Sep-02", "43891"]
    got = read(write(tmp_path / "e.csv", genes), "symbol")
    assert got.genes == tuple(genes)
    assert got.doubts[0].startswith(
        "3 gene name(s) are dates that a spreadsheet made of symbols: 1-Mar, Sep-02, 43891; give the",
    )
    with pytest.raises(
        InputError,
        match=r"genes appear twice: 1-Mar; a spreadsheet made dates of several genes",
    ):
        read(write(tmp_path / "e.csv", [*genes, "1-Mar"]), "symbol")


def test_repeated_symbols_are_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", ["TP53", "EGFR", "Y_RNA", "Y_RNA", "TP53"])
    with pytest.raises(
        InputError,
        match="genes appear twice: TP53, Y_RNA; keep one of each, or say what",
    ):
        read(path, "symbol")
    got = read(write(tmp_path / "e.csv", ["TP53", "EGFR", "tp53"]), "symbol")
    assert (
        got.doubts[0]
        == "gene names that differ by letter case alone are kept apart: TP53, tp53"
    )


# -- ids


@pytest.mark.parametrize(
    ("name", "kind", "plain"),
    [
        ("ENSG00000141510.18", "ensembl", "ENSG00000141510"),
        ("ENSG00000141510", "ensembl", "ENSG00000141510"),
        ("ensg00000141510.5", "ensembl", "ENSG00000141510"),
        ("ENSMUSG00000059552.14", "ensembl", "ENSMUSG00000059552"),
        ("ENSG00000182378.15_PAR_Y", "ensembl", "ENSG00000182378_PAR_Y"),
        ("ENSG00000223972.5_2", "ensembl", "ENSG00000223972"),  # lifted over to GRCh37
        ("ENSG00000141510.18|TP53", "ensembl", "ENSG00000141510|TP53"),
        ("7157.0", "entrez", "7157"),
        ("X7157", "entrez", "7157"),
        (" TP53 ", "symbol", "TP53"),
        ("RP11-34P13.7", "symbol", "RP11-34P13.7"),
    ],
)
def test_plain_names(name: str, kind: str, plain: str) -> None:
    assert plain_name(name, kind) == plain
    assert plain_name(plain, kind) == plain


def test_versions_go_and_are_said(tmp_path: Path) -> None:
    got = read(write(tmp_path / "e.csv", ensembl(20, ".5")))
    assert got.genes == tuple(ensembl(20))
    assert got.notes == (
        "the version is no part of an Ensembl id (20 ids, such as ENSG00000000000.5)",
    )
    assert read(write(tmp_path / "e.csv", ensembl(20))).notes == ()


def test_two_versions_of_a_gene_are_refused_and_the_gene_on_y_is_not(
    tmp_path: Path,
) -> None:
    genes = [*ensembl(20, ".5"), "ENSG00000000003.6"]
    with pytest.raises(
        InputError,
        match=r"ENSG00000000003\.5, ENSG00000000003\.6 are one gene under several ids .*keep one",
    ):
        read(write(tmp_path / "e.csv", genes))
    got = read(
        write(tmp_path / "e.csv", [*ensembl(20, ".5"), "ENSG00000000003.5_PAR_Y"]),
    )
    assert got.genes[-1] == "ENSG00000000003_PAR_Y"


@pytest.mark.parametrize("kind", ["ensembl", "symbol", "entrez"])
@pytest.mark.parametrize("form", ["ENST{:011d}.4", "NM_{:06d}"])
def test_transcripts_are_no_genes(tmp_path: Path, kind: str, form: str) -> None:
    path = write(tmp_path / "e.csv", [form.format(number) for number in range(10)])
    with pytest.raises(
        InputError,
        match=f"declared genes by {kind}, but '.*' is a transcript; add the values",
    ):
        read(path, kind)


def test_numbers_of_entrez_survive_other_tools(tmp_path: Path) -> None:
    for form in ("{}", "{}.0", "X{}"):
        got = read(
            write(
                tmp_path / "e.csv",
                [form.format(number) for number in range(100, 120)],
            ),
            "entrez",
        )
        assert got.genes == tuple(str(number) for number in range(100, 120))


# -- orientation


@pytest.mark.parametrize("kind", ["ensembl", "entrez"])
def test_the_hint_about_orientation_works(tmp_path: Path, kind: str) -> None:
    genes = (
        ensembl(30)
        if kind == "ensembl"
        else [str(number) for number in range(100, 130)]
    )
    path = write(tmp_path / "e.csv", genes)
    with pytest.raises(InputError, match=r"declare orientation 'genes_by_patients'"):
        read_expression(path, unit="counts", genes=kind)
    assert read(path, kind).patients == ("P0", "P1", "P2", "P3")
    pd.read_csv(path, index_col=0).T.to_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"declare orientation 'patients_by_genes'"):
        read(tmp_path / "t.csv", kind)
    assert read_expression(tmp_path / "t.csv", unit="counts", genes=kind).patients == (
        "P0",
        "P1",
        "P2",
        "P3",
    )


# -- matching


@pytest.mark.parametrize(
    ("wanted", "measured", "kind", "places"),
    [
        (["A", "B"], ["B", "A"], "symbol", [1, 0]),
        (["TP53", "C1orf112"], ["C1ORF112", "tp53"], "symbol", [1, 0]),
        (["HLA-A", "HLA-B"], ["HLA.B", "HLA.A"], "symbol", [1, 0]),
        (
            ["ENSG00000000001.5", "ENSG00000000002"],
            ["ENSG00000000001", "ENSG00000000002"],
            "ensembl",
            [0, 1],
        ),
        (["TP53", "tp53"], ["tp53"], "symbol", [-1, 0]),  # the same text first
        (["Tp53"], ["tp53", "TP53"], "symbol", [-1]),  # fits two
        (["TP53", "tp53"], ["Tp53"], "symbol", [-1, -1]),
        (["e\u0301A"], ["\u00e9a"], "symbol", [0]),
        (["A.1"], ["A.2"], "symbol", [-1]),  # no version outside Ensembl
    ],
)
def test_matching(
    wanted: list[str],
    measured: list[str],
    kind: str,
    places: list[int],
) -> None:
    got, spellings = match_genes(wanted, measured, kind)
    assert got.tolist() == places
    differ = [
        (w, measured[p])
        for w, p in zip(wanted, places, strict=True)
        if p >= 0 and w != measured[p]
    ]
    assert spellings == differ


def test_digits_that_are_no_day_are_no_date() -> None:
    assert not is_date("9" * 5000)
    assert not is_date("\u00b2")
    assert is_date("43891")
