from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from survfuse._errors import InputError
from survfuse._storage import sha256_file, sha256_text, write_tensors
from survfuse.readers.priors import (
    Prior,
    barcode_hashes,
    read_prior,
    shipped_priors,
    tcga_barcode,
    write_prior,
)

PRIOR = Prior(
    "three",
    "symbol",
    ("TP53", "EGFR", "MYC"),
    np.array([0.1, -0.2, 0.3]),
    np.array([0.01, 0.02, 0.03]),
    0.25,
    0.15,
    frozenset(map(sha256_text, ("TCGA-05-4249", "TCGA-05-4250"))),
    {"endpoints": ["overall survival"], "events": 30},
    2.0,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_prior(PRIOR, tmp_path / "prior")


def edited(folder: Path, **changes: Any) -> Path:
    """Change values of prior.json."""
    file = folder / "prior.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


def with_arrays(folder: Path, **arrays: np.ndarray) -> Path:
    """Replace the arrays, with the hash that belongs to them."""
    write_tensors(folder / "prior.safetensors", arrays, {})
    return edited(folder, sha256=sha256_file(folder / "prior.safetensors"))


def test_what_is_written_is_read(folder: Path) -> None:
    read = read_prior(folder)
    for field, value in vars(PRIOR).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(read, field), value)
        else:
            assert getattr(read, field) == value


def test_errors_patients_and_limit_may_be_absent(tmp_path: Path) -> None:
    plain = replace(PRIOR, errors=None, patients=frozenset(), limit=None)
    read = read_prior(write_prior(plain, tmp_path / "p"))
    assert (read.errors, read.patients, read.limit) == (None, frozenset(), None)


def test_single_precision_is_read_as_double(tmp_path: Path) -> None:
    single = replace(PRIOR, weights=PRIOR.weights.astype(np.float32))
    assert read_prior(write_prior(single, tmp_path / "p")).weights.dtype == np.float64


def test_a_folder_is_not_replaced(folder: Path) -> None:
    with pytest.raises(InputError, match="exists already; give a new folder"):
        write_prior(PRIOR, folder)


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    whole = replace(PRIOR, slope=1, slope_spread=1, limit=2)
    read = read_prior(write_prior(whole, tmp_path / "p"))
    assert (read.slope, read.slope_spread, read.limit) == (1.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patients": frozenset(["TCGA-AB-0001"])}, "patients: expected SHA-256"),
        ({"weights": np.array([0.1, np.nan, 0.2])}, "NaN or infinite"),
        ({"slope": 11.0}, "slope: expected a finite number"),
    ],
)
def test_what_could_not_be_read_is_not_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_prior(replace(PRIOR, **changes), tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_file_can_have_is_no_prior() -> None:
    with pytest.raises(InputError, match="xxx: no prior; expected a folder"):
        read_prior("x" * 5000)


def test_an_unknown_name_lists_those_that_are_shipped() -> None:
    with pytest.raises(InputError, match="nowhere: no prior; expected a folder"):
        read_prior("nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "expected format 'survfuse-prior'"),
        ({"version": 2}, "expected version 1, got 2"),
        ({"genes": ["TP53", "TP53", "MYC"]}, "each once"),
        ({"genes": []}, "at least one"),
        ({"genes": [1, 2, 3]}, "genes: expected a list of texts"),
        ({"genes": ["TP53", "EGFR"]}, "expected 2 floats, got float64"),
        ({"gene_ids": "refseq"}, "symbol or ensembl or entrez"),
        ({"version": 2}, "update survfuse"),
        ({"slope": "0.2"}, "slope: expected a finite number .*, got '0.2'; copy the"),
        ({"slope": True}, "slope: expected a finite number .*, got True"),
        ({"slope": 1e308}, "slope: expected a finite number from 0 to 10"),
        ({"slope": 0.0}, "slope: expected a number above 0, got 0"),
        ({"slope": -0.1}, "slope: expected a finite number from 0 to 10, got -0.1"),
        ({"slope_spread": 0.0}, "slope_spread: expected .* from 0.001 to 10, got 0.0"),
        ({"limit": -1.0}, "limit: expected a finite number from 0.1"),
        ({"card": {"endpoints": 5}}, "card: endpoints: expected a list of texts, got"),
        ({"card": {"notes": [1]}}, "card: notes: expected a list of texts"),
        ({"card": {"not_for": True}}, "card: not_for: expected a list of texts"),
        ({"card": {"cohorts": [5]}}, "card: cohorts: expected a list of mappings"),
        ({"card": {"cohorts": [{}]}}, "card: cohorts: expected a name in each"),
        ({"card": {"patients": "many"}}, "card: patients: expected a number"),
        ({"card": {"licence": []}}, "card: licence: expected a text"),
        ({"card": ["overall survival"]}, "card: expected a mapping"),
        ({"name": None}, "name: expected a text, got None"),
    ],
)
def test_a_damaged_head_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_prior(edited(folder, **changes))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "array 'weights' is missing"),
        ({"weights": np.array([0.1, np.nan, 0.2])}, "NaN or infinite"),
        ({"weights": np.ones(3), "errors": np.ones(2)}, "array 'errors'"),
        ({"weights": np.ones(3), "errors": -np.ones(3)}, "errors.*none below 0"),
        ({"weights": np.zeros(3)}, "weights: expected the largest .* got 0;"),
        ({"weights": np.array([1e300, 1, 1])}, "weights: expected the largest"),
        (
            {"weights": np.ones(3), "patients": np.zeros((2, 31), np.uint8)},
            "rows of 32 bytes",
        ),
    ],
)
def test_damaged_arrays_are_refused(
    folder: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_prior(with_arrays(folder, **arrays))


def test_files_that_are_absent_changed_or_cut_are_refused(folder: Path) -> None:
    tensors = folder / "prior.safetensors"
    content = tensors.read_bytes()
    tensors.write_bytes(content[:-8] + bytes(8))
    with pytest.raises(InputError, match="differs from what was written"):
        read_prior(folder)
    tensors.unlink()
    with pytest.raises(InputError, match=r"prior\.safetensors"):
        read_prior(folder)
    (folder / "prior.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_prior(folder)


@pytest.mark.parametrize(
    "patient",
    ["TCGA-AB-0001", " tcga-ab-0001-01A-11R", "TCGA.AB.0001", "tcga_ab_0001"],
)
def test_barcodes_are_known_in_every_length_and_case(patient: str) -> None:
    assert tcga_barcode(patient) == "TCGA-AB-0001"
    assert barcode_hashes([patient]) == {patient: sha256_text("TCGA-AB-0001")}


@pytest.mark.parametrize(
    "patient", ["TCGA-AB-00012", "XTCGA-AB-0001", "001", "TCGA-AB"]
)
def test_other_ids_are_no_barcodes(patient: str) -> None:
    assert tcga_barcode(patient) is None
    assert barcode_hashes([patient]) == {}


@pytest.mark.parametrize("name", shipped_priors())
def test_shipped_priors_are_whole(name: str) -> None:
    prior = read_prior(name)
    assert prior.name == name
    assert prior.name.isidentifier()
    for key in ("endpoints", "patients", "events", "not_for", "licence", "provenance"):
        assert prior.card[key]
    assert len(prior.patients) == prior.card["patients"]
    assert 0 < prior.slope_spread < 1
    assert prior.errors is not None
    assert (prior.errors > 0).all()
