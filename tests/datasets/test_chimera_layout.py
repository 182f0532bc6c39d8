"""The challenge's training folder, as the simulator writes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from survfuse._errors import ConfigError
from survfuse._storage import read_json
from survfuse.datasets import simulate
from survfuse.readers.features import read_features

TINY = {"patients": 24, "tiles": 20, "tile_dim": 16, "genes": 60}
FIELDS = {
    "age", "sex", "smoking", "tumor", "stage", "substage", "grade", "reTUR", "LVI", "variant",
    "EORTC", "no_instillations", "BRS",
}  # fmt: skip


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chimera") / "train"
    return simulate(out, **TINY, layout="chimera", hold_out=4, seed=3)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tables") / "cohort"
    return simulate(out, **TINY, leak=True, hold_out=4, seed=3).parent


def test_every_patient_has_the_files_of_the_challenge(released: Path) -> None:
    names = {
        file.relative_to(released).as_posix() for file in released.rglob("3A_007*.*")
    }
    assert names == {
        "data/3A_007/3A_007_CD.json",
        "data/3A_007/3A_007_RNA.json",
        "features/features/3A_007_HE.pt",
        "features/coordinates/3A_007_HE.npy",
    }
    assert sorted(file.name for file in released.iterdir()) == [
        "data",
        "features",
        "new",
        "simulation.json",
        "truth.csv",
        "truth_tissue.npy",
    ]


def test_fields_have_the_names_and_types_of_the_challenge(released: Path) -> None:
    fields = read_json(released / "data/3A_001/3A_001_CD.json")
    assert set(fields) == FIELDS | {"progression", "Time_to_prog_or_FUend"}
    kinds = {"age": int, "progression": int, "no_instillations": float}
    for name, kind in kinds.items():
        assert type(fields[name]) is kind
    assert type(fields["Time_to_prog_or_FUend"]) is float
    assert type(fields["stage"]) is str


def test_patients_are_those_of_the_tables(released: Path, tables: Path) -> None:
    table = pd.read_csv(tables / "patients.csv")
    expression = pd.read_parquet(tables / "expression.parquet")
    for row in (0, 11):
        patient = f"3A_{row + 1:03d}"
        fields = read_json(released / f"data/{patient}/{patient}_CD.json")
        assert fields["Time_to_prog_or_FUend"] == table["time"][row]
        assert fields["progression"] == table["event"][row]
        genes = read_json(released / f"data/{patient}/{patient}_RNA.json")
        values = expression.iloc[row, 1:].to_numpy(float)
        np.testing.assert_allclose(list(genes.values()), values, atol=1e-4)


def test_features_are_read_with_their_corners(released: Path) -> None:
    file = released / "features/features/3A_005_HE.pt"
    bag = read_features(file, encoder="uni")
    assert bag.values.shape == (len(torch.load(file, weights_only=True)), 16)
    corners = np.load(released / "features/coordinates/3A_005_HE.npy")
    np.testing.assert_array_equal(bag.coords[:, 0], corners["x"])
    np.testing.assert_array_equal(bag.coords[:, 1], corners["y"])


def test_new_patients_have_no_labels(released: Path) -> None:
    fields = read_json(released / "new/data/3B_002/3B_002_CD.json")
    assert set(fields) == FIELDS
    assert "log_risk" in pd.read_csv(released / "new/truth.csv")


def test_slides_are_painted_with_masks(tmp_path: Path) -> None:
    out = simulate(
        tmp_path / "train",
        patients=8,
        genes=20,
        images=True,
        slide_px=256,
        layout="chimera",
    )
    names = sorted(file.name for file in (out / "data/3A_003").iterdir())
    assert names == [
        "3A_003_CD.json",
        "3A_003_HE.tif",
        "3A_003_HE_mask.tif",
        "3A_003_RNA.json",
    ]
    assert not (out / "features").exists()


def test_a_patient_without_a_modality_lacks_its_file(tmp_path: Path) -> None:
    missing = {"clinical": 0.2, "expression": 0.2, "slides": 0.2}
    out = simulate(tmp_path / "train", **TINY, layout="chimera", missing=missing)
    same = simulate(tmp_path / "tables", **TINY, leak=True, missing=missing).parent
    fields = [read_json(file) for file in out.rglob("*_CD.json")]
    assert len(fields) == 24  # labels, with or without clinical data
    with_clinical = [own for own in fields if len(own) > 2]
    assert len(with_clinical) == len(pd.read_csv(same / "clinical.csv")) < 24
    measured = pd.read_parquet(same / "expression.parquet")
    assert len(list(out.rglob("*_RNA.json"))) == len(measured) < 24
    assert 0 < len(list(out.rglob("*_HE.pt"))) < 24


@pytest.mark.parametrize(
    ("option", "value"), [("slides", 2), ("sites", 3), ("unit", "days")]
)
def test_what_the_files_cannot_say_is_refused(
    tmp_path: Path, option: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=f"{option}: must be"):
        simulate(tmp_path / "x", **TINY, layout="chimera", **{option: value})
    with pytest.raises(ConfigError, match="expected one of cohort, chimera"):
        simulate(tmp_path / "x", **TINY, layout="folders")
    assert not (tmp_path / "x").exists()
