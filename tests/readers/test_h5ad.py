"""AnnData files of every version give their matrix; a sparse one that lies is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from survfuse._errors import InputError
from survfuse.readers import read_expression
from survfuse.readers.h5ad import read_h5ad

TEXT = h5py.string_dtype()
ROWS, COLUMNS = [f"P{i}" for i in range(6)], ["TP53", "EGFR", "KRAS", "BRAF", "MYC"]
VALUES = np.round(np.random.default_rng(0).uniform(0.5, 15, size=(6, 5)), 2)


def frame(file: h5py.File, name: str, index: list[str]) -> h5py.Group:
    group = file.create_group(name)
    group.attrs.update(
        {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"},
    )
    group.attrs.create("column-order", [], dtype=TEXT)
    group.create_dataset("_index", data=np.array(index, object), dtype=TEXT)
    return group


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole file with a sparse X."""
    matrix = sparse.csr_matrix(VALUES)
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        obs = frame(file, "obs", ROWS)
        obs.attrs.create("column-order", ["case", "kind"], dtype=TEXT)
        obs.create_dataset(
            "case",
            data=np.array([f"C{i}" for i in range(6)], object),
            dtype=TEXT,
        )
        kind = obs.create_group("kind")
        kind.attrs["encoding-type"] = "categorical"
        kind["codes"] = np.arange(6, dtype=np.int8)
        kind.create_dataset(
            "categories",
            data=np.array(list("abcdef"), object),
            dtype=TEXT,
        )
        frame(file, "var", COLUMNS)
        group = file.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "shape": np.array(matrix.shape)},
        )
        group["data"], group["indices"], group["indptr"] = (
            matrix.data,
            matrix.indices,
            matrix.indptr,
        )
    return tmp_path / "x.h5ad"


def replace(path: Path, name: str, values: Any) -> None:
    with h5py.File(path, "r+") as file:
        kept = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        file[name] = values
        file[name].attrs.update(kept)


def test_a_whole_file(path: Path) -> None:
    rows, columns, values = read_h5ad(path, None)
    assert (rows, columns) == (ROWS, COLUMNS)
    np.testing.assert_array_equal(values, VALUES)
    assert read_h5ad(path, "kind")[0] == list("abcdef")


@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "float32", "int", "bool"])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_what_anndata_writes(
    tmp_path: Path,
    kind: str,
    compression: str | None,
) -> None:
    anndata = pytest.importorskip(
        "anndata",
        reason="the anndata extra is not installed",
    )
    matrices = {
        "csr": sparse.csr_matrix(VALUES),
        "csc": sparse.csc_matrix(VALUES),
        "dense": VALUES,
    }
    matrix = matrices[kind] if kind in matrices else VALUES.astype(kind)
    obs = pd.DataFrame(
        {
            "category": pd.Categorical(["a", "b", "c", "d", "e", "f"]),
            "number": pd.Categorical([3, 1, 2, 6, 5, 4]),
            "integer": range(6),
            "float": np.arange(6) + 0.5,
            "text": list("uvwxyz"),
            "nullable": pd.array([1, 2, 3, 4, 5, 6], dtype="Int64"),
        },
        index=ROWS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = anndata.AnnData(
            X=matrix,
            obs=obs,
            var=pd.DataFrame(index=COLUMNS).rename_axis("gene"),
        )
        data.write_h5ad(tmp_path / "w.h5ad", compression=compression)
    rows, columns, values = read_h5ad(tmp_path / "w.h5ad", None)
    assert (rows, columns) == (ROWS, COLUMNS)
    np.testing.assert_array_equal(values, VALUES.astype(matrix.dtype))
    for column in obs:
        assert read_h5ad(tmp_path / "w.h5ad", str(column))[0] == [
            str(label) for label in obs[column]
        ]


def test_unsorted_indices_are_no_fault(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for name in ("X/data", "X/indices"):
            file[name][:5] = file[name][:5][::-1]
    np.testing.assert_array_equal(read_h5ad(path, None)[2], VALUES)


def test_version_0_7(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        del obs["kind"]
        labels = obs.create_dataset(
            "__categories/kind",
            data=np.array(list("fedcba"), object),
            dtype=TEXT,
        )
        obs["kind"] = np.arange(6, dtype=np.int8)
        obs["kind"].attrs["categories"] = labels.ref
    assert read_h5ad(path, "kind")[0] == list("fedcba")


@pytest.mark.parametrize("text", ["S4", TEXT], ids=["fixed", "variable"])
def test_version_0_6(tmp_path: Path, text: Any) -> None:
    matrix = sparse.csc_matrix(VALUES)
    kind = np.dtype([("index", text), ("kind", "i1"), ("number", "f4")])
    records = [
        (name.encode(), place % 2, place + 0.5) for place, name in enumerate(ROWS)
    ]
    with h5py.File(tmp_path / "o.h5ad", "w") as file:
        file["obs"] = np.array(records, dtype=kind)
        file["var"] = np.array(
            [(name.encode(),) for name in COLUMNS],
            dtype=[("index", text)],
        )
        file["uns/kind_categories"] = np.array([b"x", b"y"])
        group = file.create_group("X")
        group.attrs.update(
            {"h5sparse_format": "csc", "h5sparse_shape": np.array(matrix.shape)},
        )
        group["data"], group["indices"], group["indptr"] = (
            matrix.data,
            matrix.indices,
            matrix.indptr,
        )
    rows, columns, values = read_h5ad(tmp_path / "o.h5ad", None)
    assert (rows, columns) == (ROWS, COLUMNS)
    np.testing.assert_array_equal(values, VALUES)
    assert read_h5ad(tmp_path / "o.h5ad", "kind")[0] == ["x", "y"] * 3
    assert read_h5ad(tmp_path / "o.h5ad", "number")[0][:2] == ["0.5", "1.5"]
    with pytest.raises(
        InputError,
        match="obs has no column 'who'; it has 'kind', 'number'",
    ):
        read_h5ad(tmp_path / "o.h5ad", "who")


# -- lies


FULL = np.arange(0, 31, 5)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("indptr", [0, *[10**7] * 6], "indptr does not rise from 0 to 30"),
        ("indptr", [0, 10, 5, 15, 20, 25, 30], "indptr does not rise from 0 to 30"),
        ("indptr", [1, 5, 10, 15, 20, 25, 30], "indptr does not rise from 0 to 30"),
        ("indptr", [0, 5, 10, 15, 20, 25, 29], "indptr does not rise from 0 to 30"),
        ("indptr", [-5, 5, 10, 15, 20, 25, 30], "indptr does not rise from 0 to 30"),
        (
            "indptr",
            np.array([0, 2**63, 10, 15, 20, 25, 30], np.uint64),
            "indptr does not rise from 0",
        ),
        (
            "indptr",
            [0, 2**63 - 1, -(2**62), 30, 30, 30, 30],
            "indptr does not rise from 0",
        ),  # differences wrap
        ("indptr", FULL[:-1], "indptr has 6 values, expected 7"),
        ("indptr", [*FULL, 30], "indptr has 8 values, expected 7"),
        (
            "indptr",
            FULL.astype(float),
            "'X/indptr' has dtype float64, expected plain numbers",
        ),
        ("indices", [*range(29), 99], "indices from 0 to 99, expected 0 to 4"),
        ("indices", [-1, *[0] * 29], "indices from -1 to 0, expected 0 to 4"),
        ("indices", [0, 1, 2, 3, 3] * 6, "6 places have more than one value"),
        (
            "indices",
            np.zeros((30, 2), int),
            r"X/indices has shape \(30, 2\), expected one axis",
        ),
        ("data", np.ones(29), "29 values, but 30 indices"),
        ("data", np.ones(31), "31 values, but 30 indices"),
        (
            "data",
            np.array(["a"] * 30, "S1"),
            "'X/data' has dtype .S1, expected plain numbers",
        ),
    ],
)
def test_a_sparse_matrix_that_lies(
    path: Path,
    name: str,
    values: Any,
    message: str,
) -> None:
    replace(path, f"X/{name}", values)
    with pytest.raises(InputError, match=rf"x\.h5ad: .*{message}"):
        read_expression(path, unit="log2tpm", genes="symbol")


@pytest.mark.parametrize(
    "shape",
    [[5, 6], [6, 10**12], [6], [], [-6, -5], [6.0, 5.5], "6x5"],
)
def test_a_sparse_shape_that_lies(path: Path, shape: Any) -> None:
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = shape
    with pytest.raises(
        InputError,
        match=r"X has shape \(.*\), but obs names 6 rows and var 5 columns",
    ):
        read_h5ad(path, None)


def test_a_sparse_matrix_of_nothing_but_names_is_not_allocated(path: Path) -> None:
    for name, count in (("obs", 60_000), ("var", 20_000)):
        with h5py.File(path, "r+") as file:
            del file[f"{name}/_index"]
            file.create_dataset(
                f"{name}/_index",
                data=np.arange(count).astype("S6"),
                compression="gzip",
            )
            file["X"].attrs["shape"] = [60_000, 20_000]
    with pytest.raises(InputError, match=r"X: claims 8\.9 GiB where .* are stored"):
        read_h5ad(path, None)


@pytest.mark.slow
def test_an_honest_matrix_may_be_very_sparse(path: Path) -> None:
    rng = np.random.default_rng(1)
    matrix = sparse.random(2000, 20_000, density=0.001, format="csr", rng=rng)
    names = {
        "obs": [f"P{i}" for i in range(2000)],
        "var": [f"G{i}" for i in range(20_000)],
    }
    with h5py.File(path, "w") as file:
        for name, index in names.items():
            frame(file, name, index)
        group = file.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "shape": np.array(matrix.shape)},
        )
        for part in ("data", "indices", "indptr"):
            values = np.ceil(getattr(matrix, part))
            values = values if part == "data" else values.astype(np.int32)
            group.create_dataset(part, data=values, compression="gzip")
    rows, _, values = read_h5ad(path, None)
    assert len(rows) == 2000
    np.testing.assert_array_equal(values, np.ceil(matrix.toarray()))


def test_a_dense_matrix_that_lies(path: Path) -> None:
    replace(path, "X", VALUES[:5])
    with pytest.raises(InputError, match=r"X has shape \(5, 5\), but obs names 6 rows"):
        read_h5ad(path, None)
    replace(path, "X", np.array([["a"] * 5] * 6, "S1"))
    with pytest.raises(InputError, match=r"'X' has dtype \|S1, expected plain numbers"):
        read_h5ad(path, None)
    replace(path, "X", h5py.Empty("f4"))
    with pytest.raises(InputError, match=r"X is empty, expected .patients, genes."):
        read_h5ad(path, None)
    with h5py.File(path, "r+") as file:
        del file["X"]
    with pytest.raises(InputError, match=r"X is empty, expected .patients, genes."):
        read_h5ad(path, None)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("obs/kind/codes", [0, 1, 2, 3, 4, 6], "obs has the code 6 of 6 categories"),
        ("obs/kind/codes", [0, 1, 2, 3, 4, -2], "obs has the code -2 of 6 categories"),
        ("obs/kind/codes", np.arange(6.0), r"obs has the code 0\.0 of 6 categories"),
        (
            "obs/kind/codes",
            [0, 1, 2, 3, 4, -1],
            r"obs, column 'kind': 1 missing \(rows 5, counted from 0\)",
        ),
        ("obs/kind/codes", [0, 1, 2, 3, 4], "obs names 5 rows"),
        (
            "obs/kind/codes",
            h5py.SoftLink("/X/indices"),
            "'obs/kind/codes' is a soft link",
        ),
        (
            "obs/kind",
            h5py.ExternalLink("secret.h5", "/x"),
            "'obs/kind' is a link to another file",
        ),
        (
            "obs/kind",
            np.zeros((6, 6)),
            r"'obs/kind' is a dataset of shape \(6, 6\), expected one axis",
        ),
        (
            "obs/kind",
            [np.nan, 1, 2, 3, 4, 5],
            r"obs, column 'kind': 1 missing \(rows 0",
        ),
        (
            "obs/kind",
            np.array([b"\xff"] * 6),
            "not a whole HDF5 file .UnicodeDecodeError",
        ),
        ("obs", h5py.SoftLink("/var"), "'obs' is a soft link"),
        ("obs", np.ones(6), "obs is no data frame of AnnData"),
        (
            "var/_index",
            np.array([b"\xff"] * 5),
            "not a whole HDF5 file .UnicodeDecodeError",
        ),
    ],
)
def test_names_that_lie(path: Path, name: str, values: Any, message: str) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(InputError, match=rf"x\.h5ad: .*{message}"):
        read_h5ad(path, "kind")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "obs/kind:encoding-type",
            "awkward-array",
            "obs/kind is encoded as 'awkward-array', expected texts",
        ),
        (
            "X:encoding-type",
            "dict",
            "X is encoded as 'dict', expected a dense array, csr_matrix or csc_matrix",
        ),
        ("obs:_index", 3, "obs is no data frame of AnnData"),
        ("obs:_index", "../var", r"has no 'obs/\.\./var'"),
        ("obs:column-order", 3, "obs is no data frame of AnnData"),
    ],
)
def test_attributes_that_lie(path: Path, name: str, value: Any, message: str) -> None:
    place, _, attribute = name.partition(":")
    with h5py.File(path, "r+") as file:
        file[place].attrs[attribute] = value
    with pytest.raises(InputError, match=rf"x\.h5ad: .*{message}"):
        read_h5ad(path, "kind" if attribute != "_index" else None)


def test_groups_that_hold_each_other_are_not_walked(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        place = file.create_group("uns")
        for _ in range(40):
            deeper = place.create_group("a")
            place["b"] = deeper
            place = deeper
    assert read_h5ad(path, None)[0] == ROWS


def test_bytes_changed_anywhere_give_a_matrix_or_an_answer(path: Path) -> None:
    data = path.read_bytes()
    refused = 0
    for place in range(8, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            assert read_h5ad(path, "kind")[2].shape == (6, 5)
        except InputError:
            refused += 1
    assert refused


@pytest.fixture
def layered(path: Path) -> Path:
    """The same file with a dense and a sparse layer."""
    double = sparse.csc_matrix(2 * VALUES)
    with h5py.File(path, "r+") as file:
        file["layers/counts"] = np.round(VALUES)
        group = file.create_group("layers/double")
        group.attrs.update({"encoding-type": "csc_matrix", "shape": [6, 5]})
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(double, part)
        file["layers/elsewhere"] = h5py.ExternalLink("other.h5", "/X")
    return path


def test_layers(layered: Path) -> None:
    np.testing.assert_array_equal(read_h5ad(layered, None)[2], VALUES)
    np.testing.assert_array_equal(read_h5ad(layered, None, "counts")[2], VALUES.round())
    np.testing.assert_array_equal(read_h5ad(layered, None, "double")[2], 2 * VALUES)
    got = read_expression(layered, unit="counts", genes="symbol", layer="counts")
    np.testing.assert_array_equal(got.values, VALUES.round())


@pytest.mark.parametrize("name", ["raw", "double/data", "..", "counts\0"])
def test_a_layer_that_is_not_there(layered: Path, name: str) -> None:
    message = r"x\.h5ad: no layer .*; it has 'counts', 'double', 'elsewhere'"
    with pytest.raises(InputError, match=message):
        read_h5ad(layered, None, name)
    with pytest.raises(InputError, match="'layers/elsewhere' is a link to another fi"):
        read_h5ad(layered, None, "elsewhere")


def test_layers_of_files_that_have_none(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no layer 'counts'; it has none"):
        read_h5ad(path, None, "counts")
    (tmp_path / "t.csv").write_text("id,A,B\nP1,1,2\n")
    with pytest.raises(
        InputError, match=r"t\.csv: is read without `layer` \('counts' "
    ):
        read_expression(
            tmp_path / "t.csv", unit="counts", genes="symbol", layer="counts"
        )


def test_a_layer_of_another_shape(layered: Path) -> None:
    replace(layered, "layers/counts", VALUES[:4])
    with pytest.raises(InputError, match=r"layers/counts has shape \(4, 5\), but obs"):
        read_h5ad(layered, None, "counts")
