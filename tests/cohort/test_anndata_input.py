"""AnnData, MuData, polars and pyarrow: the same cohort as from pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import survfuse as sf
from frames import LEVELS, expression, made, patients
from survfuse._errors import CohortError, InputError
from survfuse.cohort import Cohort
from survfuse.cohort.anndata_input import named_matrix

anndata = pytest.importorskip("anndata")

WHAT = {
    "time": "months",
    "event": "dead",
    "unit": "months",
    "expression_unit": "log2tpm",
}


def annotated(table: pd.DataFrame, matrix: Any = None) -> Any:
    """An AnnData of the patients, with their outcome in obs."""
    rna = expression(table)
    obs = table.set_index("patient_id").rename_axis(None)
    values = rna.to_numpy() if matrix is None else matrix
    return anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=rna.columns))


def reference(table: pd.DataFrame) -> Cohort:
    clinical = table[["patient_id", "age", "stage"]]
    return made(
        table,
        clinical=clinical,
        expression=expression(table),
        expression_unit="log2tpm",
    )


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "layer"])
def test_an_anndata_is_the_table_of_its_values(form: str) -> None:
    table = patients()
    values = expression(table).to_numpy()
    data = annotated(table)
    if form == "layer":
        data.layers["log"], data.X = values, np.zeros_like(values)
    elif form != "dense":
        data.X = getattr(scipy.sparse, f"{form}_matrix")(values)
    layer = "log" if form == "layer" else None
    named = sf.Cohort.from_frames(
        expression=data, layer=layer, clinical=["age", "stage"], **WHAT
    )
    whole = sf.Cohort.from_frames(
        outcome=data,
        expression=data,
        layer=layer,
        clinical=data.obs[["age", "stage"]],
        **WHAT,
    )
    assert named.fingerprint() == whole.fingerprint() == reference(table).fingerprint()


def test_a_mudata_brings_expression_tables_and_outcome() -> None:
    mudata = pytest.importorskip("mudata")
    table = patients()
    copies = np.random.default_rng(0).integers(-2, 3, (30, 3)).astype(float)
    obs = pd.DataFrame(index=table["patient_id"].iloc[:30].to_numpy())
    cnv = anndata.AnnData(
        copies, obs=obs, var=pd.DataFrame(index=["MYC", "TP53", "ERG"])
    )
    with mudata.set_options(pull_on_update=False):
        whole = mudata.MuData({"rna": annotated(table), "cnv": cnv})
        without = mudata.MuData({"cnv": cnv})
    whole.obs = table.set_index("patient_id").rename_axis(None)
    cohort = sf.Cohort.from_frames(expression=whole, clinical=["age", "stage"], **WHAT)
    frame = pd.DataFrame(copies, obs.index.rename("patient_id"), cnv.var_names)
    other = made(
        table,
        clinical=["age", "stage"],
        expression=expression(table),
        expression_unit="log2tpm",
        tables={"cnv": frame},
    )
    assert cohort.fingerprint() == other.fingerprint()
    with pytest.raises(
        CohortError, match="has the modalities 'cnv', none of which is 'rna'"
    ):
        sf.Cohort.from_frames(expression=without, **WHAT)


def test_polars_and_arrow_are_pandas() -> None:
    polars = pytest.importorskip("polars")
    import pyarrow as pa

    table = patients().assign(stage=lambda one: one["stage"].astype(str))
    table["visits"] = pd.array([None, *range(39)], "Int64")
    columns = {"stage": {"kind": "ordinal", "levels": LEVELS}}
    rna = expression(table)
    about: dict[str, Any] = {
        "groups": "site",
        "columns": columns,
        "expression_unit": "log2tpm",
    }
    cohort = made(table, clinical=table, expression=rna, **about)
    for convert in (polars.from_pandas, pa.Table.from_pandas):
        own, matrix = convert(table), convert(rna.reset_index())
        other = made(own, clinical=own, expression=matrix, **about)
        assert other.fingerprint() == cohort.fingerprint()


def test_genes_may_lie_in_rows() -> None:
    table = patients()
    rna = expression(table)
    by_gene = rna.T.rename_axis("gene")
    turned = made(
        table,
        expression=by_gene,
        expression_unit="log2tpm",
        orientation="genes_by_patients",
    )
    column = made(
        table,
        expression=by_gene.reset_index(),
        expression_unit="log2tpm",
        orientation="genes_by_patients",
    )
    straight = made(table, expression=rna, expression_unit="log2tpm")
    assert turned.fingerprint() == straight.fingerprint() == column.fingerprint()
    with pytest.raises(CohortError, match="orientation='genes_by_patients'"):
        made(table, expression=by_gene, expression_unit="log2tpm")


def test_numbers_written_as_text_are_numbers() -> None:
    rna = expression(patients(12))
    as_text = rna.astype(object)
    as_text.iloc[0, 0] = "NA"
    as_text.iloc[1, 0] = "6.5"
    matrix = named_matrix(as_text, None, None, "patients_by_genes", "expression")
    assert np.isnan(matrix.values[0, 0])
    assert matrix.values[1, 0] == 6.5
    np.testing.assert_array_equal(matrix.values[2:], rna.to_numpy()[2:])


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ("6,5", "patient 'P000', 'GENE2': '6,5' is no number; .*comma"),
        (np.inf, "is no number"),
    ],
)
def test_cells_that_are_no_numbers_are_refused(cell: Any, match: str) -> None:
    rna = expression(patients(12)).astype(object)
    rna.iloc[0, 1] = cell
    with pytest.raises(InputError, match=match):
        named_matrix(rna, None, None, "patients_by_genes", "expression")


def test_infinite_values_are_refused() -> None:
    rna = expression(patients(12))
    rna.iloc[0, 1] = np.inf
    with pytest.raises(InputError, match="'P000', 'GENE2': inf is not a finite number"):
        named_matrix(rna, None, None, "patients_by_genes", "expression")


def test_what_an_anndata_lacks_is_said() -> None:
    table = patients(12)
    with pytest.raises(CohortError, match="no layer 'raw'; it has none"):
        sf.Cohort.from_frames(expression=annotated(table), layer="raw", **WHAT)
    with pytest.raises(CohortError, match="a layer belongs to an AnnData"):
        made(
            table, expression=expression(table), expression_unit="log2tpm", layer="raw"
        )
    empty = anndata.AnnData(obs=table.set_index("patient_id"))
    with pytest.raises(CohortError, match="the AnnData has no X"):
        sf.Cohort.from_frames(expression=empty, **WHAT)


def test_a_unit_that_the_values_contradict_is_refused() -> None:
    table = patients()
    with pytest.raises(CohortError, match="declared log2tpm, but values are beyond"):
        made(table, expression=expression(table) * 1000, expression_unit="log2tpm")


def test_a_written_anndata_is_the_one_in_memory(tmp_path: Path) -> None:
    table = patients()
    data = annotated(table, scipy.sparse.csr_matrix(expression(table).to_numpy()))
    data.write_h5ad(tmp_path / "rna.h5ad")
    table.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.yaml").write_text(
        "name: files\n"
        "outcome: {table: patients.csv, time: months, event: dead, unit: months}\n"
        "expression: {path: rna.h5ad, unit: log2tpm}\n",
    )
    files = sf.load_cohort(tmp_path / "cohort.yaml")
    assert (
        sf.Cohort.from_frames(expression=data, **WHAT).fingerprint()
        == files.fingerprint()
    )
