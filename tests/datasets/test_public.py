"""The public cohorts, counted: what the converters write is what the files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from survfuse._errors import ConfigError, FeatureFileError, InputError
from survfuse.cohort import Cohort, load_cohort
from survfuse.datasets import DATASETS, card, hancock, tcga_luad
from survfuse.datasets import download as download_module
from survfuse.datasets.hancock import _tiles
from survfuse.readers import BagStore


@pytest.fixture(scope="module")
def head_and_neck(
    shared_data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Cohort:
    out = tmp_path_factory.mktemp("hancock") / "os"
    return load_cohort(hancock(out, source=shared_data / "hancock"))


@pytest.fixture(scope="module")
def lung(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tcga_luad(
        tmp_path_factory.mktemp("luad") / "c",
        source=shared_data / "tcga_luad",
    )


def test_hancock_overall_survival(head_and_neck: Cohort) -> None:
    assert len(head_and_neck) == 763
    assert head_and_neck.events == 213
    assert head_and_neck.patients[:2] == ("001", "002")  # zeros kept
    assert head_and_neck.unit == "days"
    has = head_and_neck.present.sum()
    assert has.to_dict() == {"clinical": 763, "blood": 692, "slides": 760}
    assert head_and_neck.modalities["blood"].features == 16
    assert head_and_neck.modalities["clinical"].features == 19


def test_hancock_bags_are_those_of_the_files(
    head_and_neck: Cohort,
    shared_data: Path,
) -> None:
    slides = head_and_neck.modalities["slides"]
    assert slides.tiles() == 12_125 - 52  # tiles of glass are left out
    assert slides.features == 256
    packed = np.load(
        shared_data / "hancock" / "tile_bags_dtr256.npz",
        allow_pickle=False,
    )
    ours, _ = slides.store.gather(
        ["653"],
    )  # the patient whose single CD3 tile was padded
    theirs = packed["X"][packed["patient_id"] == "653"].astype(np.float32)
    assert ours.shape == theirs.shape == (15, 256)
    np.testing.assert_allclose(
        np.sort(np.round(ours.sum(axis=1), 1)),
        np.sort(np.round(theirs.sum(axis=1), 1)),
        atol=0.11,
    )
    assert {
        slide.slide_id for slide in slides.store.slides if slide.patient_id == "653"
    } == {
        f"653_{stain}"
        for stain in ("HE", "CD3", "CD8", "CD56", "CD68", "CD163", "MHC1", "PDL1")
    }


def test_hancock_codes_of_the_unknown_are_missing(head_and_neck: Cohort) -> None:
    clinical = head_and_neck.modalities["clinical"]
    unknown_nodes = clinical.texts("number_of_positive_lymph_nodes").isna()
    assert unknown_nodes.sum() == 152
    assert (
        clinical.texts("pN_stage").isna().equals(unknown_nodes)
    )  # the reason for reading 0 as pNX
    assert clinical.texts("pT_stage").isna().sum() == 4
    assert clinical.texts("smoking_status").isna().sum() == 16
    graded = clinical.texts("grading")
    assert (
        clinical.texts("hpv_association_p16")[graded == "3"] == "2"
    ).all()  # why grading is nominal


def test_hancock_sees_no_hindsight(head_and_neck: Cohort) -> None:
    declared = set(head_and_neck.modalities["clinical"].columns)
    assert not {
        c for c in declared if c.startswith(("days_", "recurrence", "survival", "rfs"))
    }


def test_hancock_folds(head_and_neck: Cohort) -> None:
    assert head_and_neck.folds is not None
    assert sorted(head_and_neck.folds.value_counts()) == [152, 152, 153, 153, 153]


def test_hancock_recurrence_reports_impossible_times(
    shared_data: Path,
    tmp_path: Path,
) -> None:
    path = hancock(tmp_path / "rfs", endpoint="rfs", source=shared_data / "hancock")
    table = pd.read_csv(path.parent / "patients.csv", dtype={"patient_id": str})
    assert table["rfs_event"].sum() == 303
    impossible = table["days_to_rfs_event"] <= 0
    assert impossible.sum() == 12
    cohort = load_cohort(path)
    assert len(cohort) == 763 - 12
    assert cohort.events == 303 - table.loc[impossible, "rfs_event"].sum()
    assert any("12" in f"{problem}" for problem in cohort.problems)


def test_hancock_without_folds(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "features").symlink_to(shared_data / "hancock" / "features")
    cohort = load_cohort(hancock(tmp_path / "out", source=tmp_path / "copy"))
    assert cohort.folds is None


def test_hancock_from_the_network(
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SURVFUSE_DATA", raising=False)
    monkeypatch.setenv("SURVFUSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(
        hancock.__globals__,
        "BASE_URL",
        (shared_data / "hancock").as_uri(),
    )
    path = hancock(tmp_path / "out")
    assert len(load_cohort(path)) == 763
    assert (tmp_path / "cache" / "hancock" / "features" / "targets.csv").is_file()


def test_hancock_refuses_another_endpoint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="endpoint: expected os or rfs, got 'dss'"):
        hancock(tmp_path / "out", endpoint="dss")  # type: ignore[arg-type]


def test_hancock_refuses_a_changed_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="14 are absent"):
        hancock(tmp_path / "out", source=tmp_path)


def test_a_tile_vector_of_another_width_is_refused() -> None:
    with pytest.raises(FeatureFileError, match="P1: expected 512 float32"):
        _tiles(np.zeros(100, np.float32), "P1")


def test_lung_files_hold_everyone(lung: Path) -> None:
    table = pd.read_csv(lung.parent / "patients.csv", dtype=str, keep_default_na=False)
    assert len(table) == 422
    assert (table["os_event"] == "1").sum() == 148
    assert table["fold"].nunique() == 5
    assert pq.read_schema(lung.parent / "expression.parquet").names[0] == "patient_id"
    assert len(pq.read_schema(lung.parent / "expression.parquet").names) == 1 + 1555
    store = BagStore.open(lung.parent / "slides.bags")
    assert len(store.slides) == store.tiles == 478
    assert len(store.patients) == 422
    assert store.dim == 535


def test_lung_expression_is_the_published_one(lung: Path, shared_data: Path) -> None:
    ours = pd.read_parquet(lung.parent / "expression.parquet").set_index("patient_id")
    theirs = pd.read_csv(
        shared_data / "tcga_luad" / "omics_z.csv.gz",
        dtype={"case_id": str},
    )
    theirs = theirs.set_index("case_id").filter(like="_rnaseq")
    np.testing.assert_allclose(
        ours["DEFA5"],
        theirs["DEFA5_rnaseq"].loc[ours.index],
        rtol=1e-6,
    )


def test_lung_stage_is_ordinal_and_the_unknown_missing(lung: Path) -> None:
    clinical = load_cohort(_without_expression(lung)).modalities["clinical"]
    assert (
        clinical.texts("stage").isna().sum() == 6
    )  # five discrepancies, one not available
    assert clinical.texts("stage").value_counts().to_dict() == {
        "Stage I": 231,
        "Stage II": 103,
        "Stage III": 59,
        "Stage IV": 23,
    }
    assert clinical.texts("age").isna().sum() == 4


def _without_expression(path: Path) -> Path:
    """Leave the expression section out of a copy of the cohort file, beside it."""
    sections = path.read_text().split("\n\n")
    other = path.with_name("clinical-and-slides.yaml")
    other.write_text(
        "\n\n".join(s for s in sections if not s.startswith("expression:")),
    )
    return other


def test_lung_loads_whole(lung: Path) -> None:
    cohort = load_cohort(lung)
    assert len(cohort) == 422
    assert cohort.events == 148
    assert cohort.present.to_numpy().all()
    assert cohort.modalities["expression"].features == 1555


def test_lung_names_the_features_left_out(lung: Path) -> None:
    names = pd.read_csv(
        lung.parent / "slide_features.csv",
        dtype=str,
        keep_default_na=False,
    )
    assert len(names) == 607
    left_out = names[names["index"] == ""]
    assert len(left_out) == 72
    assert (left_out["slides_undefined"] == "2").all()


def test_every_dataset_has_a_complete_card() -> None:
    assert {"hancock", "tcga_luad", "simulated"} == set(DATASETS)
    for name in DATASETS:
        found = card(name)
        assert found.name == name
        assert found.title
        assert found.licence
        assert found.needs
        assert callable(found.convert)
    with pytest.raises(ConfigError, match="unknown dataset 'gbsg2'; known: hancock"):
        card("gbsg2")


def test_known_hashes_are_hashes() -> None:
    for function in (hancock, tcga_luad):
        files = function.__globals__["FILES"]
        assert all(isinstance(file, download_module.RemoteFile) for file in files)
        assert all(len(file.sha256) == 64 for file in files)
        assert len({file.path for file in files}) == len(files)
