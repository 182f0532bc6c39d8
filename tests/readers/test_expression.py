"""Expression in every layout, and what contradicts its declaration."""

from __future__ import annotations

import gzip
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.readers import read_expression
from survfuse.readers.expression import expression_of
from survfuse.readers.matrices import NamedMatrix

GENES = ["TP53", "EGFR", "NFKB1", "A1BG"]
LOG = {"P1": [1.5, 0.0, 12.25, 3.0], "P2": [2.5, 1.0, 7.5, -0.5]}


def csv(path: Path, header: list[str], rows: dict[str, list[object]]) -> Path:
    lines = [",".join(["id", *header])] + [
        ",".join([who, *map(str, cells)]) for who, cells in rows.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def log_csv(tmp_path: Path) -> Path:
    return csv(tmp_path / "rna.csv", GENES, LOG)


def test_csv(log_csv: Path) -> None:
    got = read_expression(log_csv, unit="log2tpm", genes="symbol")
    assert (got.patients, got.genes) == (("P1", "P2"), tuple(GENES))
    assert got.values.dtype == np.float32
    np.testing.assert_array_equal(got.values, np.array([*LOG.values()]))
    assert (got.unit, got.gene_ids, got.source) == ("log2tpm", "symbol", str(log_csv))
    assert len(got.sha256) == 64


def test_genes_in_rows_must_be_declared(tmp_path: Path) -> None:
    frame = pd.DataFrame(LOG, index=GENES)
    path = tmp_path / "t.tsv.gz"
    path.write_bytes(gzip.compress(frame.to_csv(sep="\t").encode()))
    got = read_expression(
        path,
        unit="log2tpm",
        genes="symbol",
        orientation="genes_by_patients",
    )
    assert got.patients == ("P1", "P2")
    np.testing.assert_array_equal(got.values, np.array([*LOG.values()]))
    known = pd.DataFrame(
        np.ones((5, 2)),
        index=["TP53", "EGFR", "MYC", "KRAS", "X1"],
        columns=["P1", "P2"],
    )
    known.to_csv(tmp_path / "k.csv")
    with pytest.raises(
        InputError,
        match=r"expected patients, got genes \(TP53.*declare orientation 'genes_by_pat",
    ):
        read_expression(tmp_path / "k.csv", unit="tpm", genes="symbol")
    known.T.to_csv(tmp_path / "k.csv")
    with pytest.raises(
        InputError,
        match=r"expected patients, got genes .* 'patients_by_genes'",
    ):
        read_expression(
            tmp_path / "k.csv",
            unit="tpm",
            genes="symbol",
            orientation="genes_by_patients",
        )
    with pytest.raises(InputError, match="unknown orientation 'sideways'"):
        read_expression(
            tmp_path / "k.csv",
            unit="tpm",
            genes="symbol",
            orientation="sideways",
        )  # type: ignore[arg-type]


def test_parquet_with_and_without_pandas_index(tmp_path: Path, log_csv: Path) -> None:
    frame = pd.DataFrame(LOG, index=GENES).T
    frame.to_parquet(tmp_path / "i.parquet")
    frame.rename_axis("who").reset_index().to_parquet(tmp_path / "c.parquet")
    for name in ("i", "c"):
        got = read_expression(
            tmp_path / f"{name}.parquet",
            unit="log2tpm",
            genes="symbol",
        )
        assert got.patients == ("P1", "P2")
        np.testing.assert_array_equal(got.values, np.array([*LOG.values()]))
    frame.assign(note="text").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(
        InputError,
        match=r"column 'note' has type .*string, expected numbers",
    ):
        read_expression(tmp_path / "t.parquet", unit="log2tpm", genes="symbol")


def test_named_patient_column_and_suffix(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("A_rnaseq,case,B_cnv,B_rnaseq\n0.5,P1,2,-1\n-0.5,P2,2,1\n")
    got = read_expression(
        path,
        unit="zscore",
        genes="symbol",
        patient_column="case",
        gene_suffix="_rnaseq",
    )
    assert (got.patients, got.genes) == (("P1", "P2"), ("A", "B"))
    np.testing.assert_array_equal(got.values, [[0.5, -1], [-0.5, 1]])
    with pytest.raises(InputError, match="no column ends in '_mut'; it has A_rnaseq"):
        read_expression(
            path,
            unit="zscore",
            genes="symbol",
            patient_column="case",
            gene_suffix="_mut",
        )
    with pytest.raises(InputError, match="no column 'who'; it has 'A_rnaseq'"):
        read_expression(path, unit="zscore", genes="symbol", patient_column="who")


def folder_of(path: Path, said: dict[str, object]) -> Path:
    path.mkdir(exist_ok=True)
    for name, value in said.items():
        (path / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_json_folder(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "rna",
        {
            "3A_001_RNA.json": {"A": 5.5, "B": 6},
            "3A_002_RNA.json": {"A": 5.0, "B": None},
            "3A_003.json": {"B": 4.0, "C": 7.0},
        },
    )
    got = read_expression(folder, unit="vst", genes="symbol")
    assert (got.patients, got.genes) == (
        ("3A_001", "3A_002", "3A_003"),
        ("A", "B", "C"),
    )
    np.testing.assert_array_equal(
        got.values,
        [[5.5, 6, np.nan], [5, np.nan, np.nan], [np.nan, 4, 7]],
    )
    one = read_expression(folder / "3A_001_RNA.json", unit="vst", genes="symbol")
    assert (one.patients, one.genes) == (("3A_001",), ("A", "B"))


def test_names_are_composed_as_those_of_tables(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "rna", {"Mu\u0308ller.json": {"A": 5.5, "B": 6.0}})
    assert read_expression(folder, unit="vst", genes="symbol").patients == (
        "M\u00fcller",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"A": 1, "A": 2}', "key 'A' appears twice"),
        ('{"A": NaN}', "NaN is not a JSON number"),
        ('{"A": 1e999}', "1e999 does not fit a double"),
        ('{"A": "7.5"}', "'A': '7.5' is not a number"),
        ('{"A": true}', "'A': 'True' is not a number"),
        ("[" * 40 + "]" * 40, "JSON nested deeper than 32 levels"),
        ("[1, 2]", "expected an object"),
        ("{}", "expected an object"),
        ('{"A": ', "not JSON"),
    ],
)
def test_hostile_json(tmp_path: Path, text: str, message: str) -> None:
    folder = folder_of(tmp_path / "rna", {"P1.json": text})
    with pytest.raises(InputError, match=r"P1\.json: .*" + message):
        read_expression(folder, unit="vst", genes="symbol")


def test_json_size_and_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "rna", {"P1.json": {"A": 1}, "P1_RNA.json": {"A": 2}})
    with pytest.raises(InputError, match="patients appear twice: P1"):
        read_expression(folder, unit="vst", genes="symbol")
    with pytest.raises(InputError, match="leave `patient_column` out"):
        read_expression(folder, unit="vst", genes="symbol", patient_column="id")
    with (folder / "P1.json").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InputError, match=r"of such a file at most 64\.0 MiB are read"):
        read_expression(folder, unit="vst", genes="symbol")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.json file in this folder"):
        read_expression(tmp_path / "empty", unit="vst", genes="symbol")


# -- cells


def test_empty_cells_are_nan(tmp_path: Path) -> None:
    path = csv(tmp_path / "e.csv", ["A", "B"], {"P1": [1, ""], "P2": [" ", 2]})
    got = read_expression(path, unit="log2tpm", genes="symbol")
    np.testing.assert_array_equal(got.values, [[1, np.nan], [np.nan, 2]])


@pytest.mark.parametrize(
    "cell",
    ["", "NA", "N/A", "#N/A", "nan", "NaN", "null", "NULL", " NA "],
)
def test_words_for_not_known_are_nan(tmp_path: Path, cell: str) -> None:
    path = csv(tmp_path / "e.csv", ["A", "B"], {"P1": [1, cell], "P2": [1.5, 2]})
    got = read_expression(path, unit="log2tpm", genes="symbol")
    np.testing.assert_array_equal(got.values, [[1, np.nan], [1.5, 2]])
    frame = pd.DataFrame({"id": ["P1", "P2"], "A": [1, 1.5], "B": [cell, "2"]})
    frame.to_parquet(tmp_path / "e.parquet")
    again = read_expression(tmp_path / "e.parquet", unit="log2tpm", genes="symbol")
    np.testing.assert_array_equal(again.values, got.values)


def test_declared_words_and_numbers_are_nan(tmp_path: Path) -> None:
    path = csv(
        tmp_path / "e.csv",
        ["A", "B"],
        {"P1": [1, "not done"], "P2": ["-999.0", 2]},
    )
    got = read_expression(
        path,
        unit="log2tpm",
        genes="symbol",
        missing=("not done", "-999"),
    )
    np.testing.assert_array_equal(got.values, [[1, np.nan], [np.nan, 2]])
    folder = folder_of(
        tmp_path / "rna",
        {"P1.json": {"A": 1, "B": "NA"}, "P2.json": {"A": -999, "B": 2}},
    )
    again = read_expression(
        folder,
        unit="log2tpm",
        genes="symbol",
        missing=("NA", "-999"),
    )
    np.testing.assert_array_equal(again.values, got.values)
    with pytest.raises(
        InputError,
        match=r"'P1', 'B': 'not done' is not a finite number; if it means 'not",
    ):
        read_expression(path, unit="log2tpm", genes="symbol")


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        (
            "inf",
            "if it means 'not known', add it to `missing`; if 'B' or 'P2' has no values, remove it",
        ),
        ("1_000", "if it means"),
        ("abc", "if it means"),
        ("1;5", "if it means"),
        ('"1,5"', "write numbers with a decimal point"),
    ],
)
def test_other_cells_are_refused(tmp_path: Path, cell: str, advice: str) -> None:
    path = csv(tmp_path / "n.csv", ["A", "B"], {"P1": [1, 2], "P2": [1, cell]})
    shown = cell.strip('"')
    with pytest.raises(
        InputError,
        match=rf"n\.csv: 'P2', 'B': '{shown}' is not a finite number; {advice}",
    ):
        read_expression(path, unit="log2tpm", genes="symbol")


def test_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="genes appear twice: A; keep one of each"):
        read_expression(
            csv(tmp_path / "g.csv", ["A", "A"], {"P1": [1, 2]}),
            unit="vst",
            genes="symbol",
        )
    (tmp_path / "p.csv").write_text("id,A\nP1,1\nP1 ,2\n")
    with pytest.raises(InputError, match="patients appear twice: P1"):
        read_expression(tmp_path / "p.csv", unit="vst", genes="symbol")
    (tmp_path / "b.csv").write_text("id,A\nP1,1\n,2\n")
    with pytest.raises(InputError, match="line 3: the id in column 'id' is empty"):
        read_expression(tmp_path / "b.csv", unit="vst", genes="symbol")
    (tmp_path / "r.csv").write_text("id,A,B\nP1,1\n")
    with pytest.raises(InputError, match="line 2 has 2 cells, the header has 3"):
        read_expression(tmp_path / "r.csv", unit="vst", genes="symbol")
    with pytest.raises(InputError, match="no such file"):
        read_expression(tmp_path / "none.csv", unit="vst", genes="symbol")


# -- declarations

N = np.random.default_rng(0).normal(size=(10, 10))


@pytest.mark.parametrize(
    ("unit", "values", "message"),
    [
        ("counts", N, "declared counts, but values are negative"),
        ("tpm", N, "declared tpm, but values are negative"),
        ("fpkm", N, "declared fpkm, but values are negative"),
        ("tpm", np.full((10, 10), 2e5), "a patient sums to 2e.06, more than a million"),
        (
            "vst",
            np.round(np.abs(N) * 1e5),
            "declared vst, but values are beyond any logarithm; looks like counts",
        ),
        ("log2tpm", np.abs(N) * 1e3, "beyond any logarithm"),
        ("log2counts", np.abs(N) * 1e3, "beyond any logarithm"),
        ("log2fpkm", np.abs(N) * 1e3, "beyond any logarithm"),
        ("vst", N, "of values are negative; looks like z-scores"),
        ("zscore", np.abs(N), "never negative; looks unstandardised"),
        ("zscore", N * 1e5, "most values are huge"),
        ("rpkm", N, "unknown unit 'rpkm'; known: counts, tpm"),
    ],
)
def test_contradicted_units(
    tmp_path: Path,
    unit: str,
    values: np.ndarray,
    message: str,
) -> None:
    rows = {f"P{i}": list(row) for i, row in enumerate(values)}
    path = csv(tmp_path / "u.csv", [f"G{i}X" for i in range(10)], rows)
    with pytest.raises(InputError, match=message):
        read_expression(path, unit=unit, genes="symbol")


@pytest.mark.parametrize(
    ("unit", "values"),
    [
        ("counts", np.round(np.abs(N) * 1e5)),
        ("tpm", np.abs(N) * 1e4),
        ("vst", np.abs(N) + 3.7),
        ("log2tpm", N * 3),
        ("zscore", N),
    ],
)
def test_plausible_units(tmp_path: Path, unit: str, values: np.ndarray) -> None:
    rows = {f"P{i}": list(row) for i, row in enumerate(values)}
    path = csv(tmp_path / "u.csv", [f"G{i}X" for i in range(10)], rows)
    assert read_expression(path, unit=unit, genes="symbol").values.shape == (10, 10)


def test_contradicted_gene_ids(tmp_path: Path, log_csv: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"declared genes by ensembl, but only 0 of 4 ids look so .not 'TP53'",
    ):
        read_expression(log_csv, unit="log2tpm", genes="ensembl")
    with pytest.raises(
        InputError,
        match="unknown gene ids 'hgnc'; known: symbol, ensembl, entrez",
    ):
        read_expression(log_csv, unit="log2tpm", genes="hgnc")
    path = csv(
        tmp_path / "e.csv",
        ["ENSG00000141510.18", "ENSG00000146648"],
        {"P1": [1, 2]},
    )
    assert (
        read_expression(path, unit="log2tpm", genes="ensembl").genes[0]
        == "ENSG00000141510"
    )
    with pytest.raises(InputError, match="declared genes by symbol"):
        read_expression(path, unit="log2tpm", genes="symbol")


# -- AnnData


@pytest.fixture
def h5ad(tmp_path: Path) -> Path:
    anndata = pytest.importorskip(
        "anndata",
        reason="the anndata extra is not installed",
    )
    scipy_sparse = pytest.importorskip("scipy.sparse")
    obs = pd.DataFrame({"case": ["C1", "C2"]}, index=["P1", "P2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix = scipy_sparse.csr_matrix(np.array([*LOG.values()]))
        data = anndata.AnnData(X=matrix, obs=obs, var=pd.DataFrame(index=GENES))
        data.write_h5ad(tmp_path / "e.h5ad")
    return tmp_path / "e.h5ad"


def test_h5ad(h5ad: Path) -> None:
    got = read_expression(h5ad, unit="log2tpm", genes="symbol")
    assert (got.patients, got.genes) == (("P1", "P2"), tuple(GENES))
    np.testing.assert_array_equal(got.values, np.array([*LOG.values()]))
    assert read_expression(
        h5ad,
        unit="log2tpm",
        genes="symbol",
        patient_column="case",
    ).patients == (
        "C1",
        "C2",
    )
    with pytest.raises(InputError, match="obs has no column 'who'; it has 'case'"):
        read_expression(h5ad, unit="log2tpm", genes="symbol", patient_column="who")


# -- real and large


def test_real_expression(shared_data: Path) -> None:
    got = read_expression(
        shared_data / "tcga_luad" / "omics_z.csv.gz",
        unit="zscore",
        genes="symbol",
        gene_suffix="_rnaseq",
    )
    assert got.values.shape == (422, 1555)
    assert got.patients[0] == "TCGA-05-4249"
    assert float(got.values[0, 0]) == pytest.approx(-0.0835)


@pytest.mark.slow
def test_a_full_cohort_of_json_is_quick(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    genes = [f"GENE{i}" for i in range(19_359)]
    for patient in range(40):
        row = dict(
            zip(genes, rng.uniform(3.7, 15, len(genes)).round(6).tolist(), strict=True),
        )
        (tmp_path / f"{patient:03d}_RNA.json").write_text(json.dumps(row))
    start = time.perf_counter()
    assert read_expression(tmp_path, unit="vst", genes="symbol").values.shape == (
        40,
        19_359,
    )
    assert time.perf_counter() - start < 10


def test_a_row_per_slide_with_words_beside_the_genes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    rows = ["P1,P1-1.svs,0.5,-0.5", "P1,P1-2.svs,0.5,-0.5", "P2,P2-1.svs,-1,1"]
    path.write_text("\n".join(["case_id,slide_id,A_rnaseq,B_rnaseq", *rows]))
    got = read_expression(path, unit="zscore", genes="symbol", gene_suffix="_rnaseq")
    assert (got.patients, got.genes) == (("P1", "P2"), ("A", "B"))
    path.write_text(path.read_text().replace("P1-2.svs,0.5", "P1-2.svs,0.6"))
    with pytest.raises(InputError, match="patients appear twice: P1"):
        read_expression(path, unit="zscore", genes="symbol", gene_suffix="_rnaseq")


@pytest.mark.parametrize("unit", ["log2tpm", "fpkm", "vst", "zscore"])
def test_a_patient_with_one_value_in_all_genes_is_refused(
    tmp_path: Path,
    unit: str,
) -> None:
    values = np.random.default_rng(0).gamma(4, 2, (30, 40)).round(3)
    values = (
        (values - values.mean(axis=0)).round(3)
        if unit == "zscore"
        else values * 30 ** (unit == "fpkm")
    )
    table = pd.DataFrame(values, columns=[f"G{i}" for i in range(40)])
    table.insert(0, "patient", [f"P{i}" for i in range(30)])
    path = tmp_path / "e.csv"
    table.to_csv(path, index=False)
    assert len(read_expression(path, unit=unit, genes="symbol").patients) == 30
    table.iloc[3, 1:] = 0.0
    table.to_csv(path, index=False)
    with pytest.raises(
        InputError,
        match="P3: every value is 0, so nothing was measured",
    ):
        read_expression(path, unit=unit, genes="symbol")


def test_a_matrix_in_memory_is_what_the_same_file_is(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("id,TP53,EGFR\nP1,1.5,2\nP2,,3.5\n")
    matrix = NamedMatrix(
        ["P1", "P2"], ["TP53", "EGFR"], np.array([[1.5, 2], [np.nan, 3.5]])
    )
    read = read_expression(path, unit="log2tpm", genes="symbol")
    made = expression_of(
        matrix, "a frame", unit="log2tpm", genes="symbol", sha256=read.sha256
    )
    assert np.array_equal(made.values, read.values, equal_nan=True)
    assert (made.genes, made.patients) == (read.genes, read.patients)
    with pytest.raises(InputError, match="a frame: patients appear twice: P1"):
        expression_of(
            replace(matrix, rows=["P1", "P1"]),
            "a frame",
            unit="log2tpm",
            genes="symbol",
            sha256="",
        )
