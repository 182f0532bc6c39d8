"""Formats of feature files: STAMP, TRIDENT and CLAM, with a table of outcomes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from layouts import (
    PATIENTS,
    slide_names,
    write_clam,
    write_clam_features,
    write_outcome,
    write_stamp,
    write_trident,
    write_trident_job,
)
from survfuse._errors import ConfigError
from survfuse.cohort import load_cohort
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]


def _check(path: Path, encoder: str | None) -> None:
    cohort = load_cohort(path)
    assert len(cohort) == PATIENTS
    store = cohort.modalities["slides"].store
    assert {slide.slide_id for slide in store.slides} == {*slide_names()} or {
        slide.slide_id.removesuffix(".h5") for slide in store.slides
    } == {*slide_names()}
    assert store.encoder == encoder
    assert "clinical" in cohort.modalities


def test_stamp_by_its_folder(study: Study, tmp_path: Path) -> None:
    _check(study("stamp", outcome=write_stamp(tmp_path / "stamp")), "uni2")


@pytest.mark.parametrize("option", ["outcome", "clinical"])
def test_stamp_by_its_files(study: Study, tmp_path: Path, option: str) -> None:
    root = write_stamp(tmp_path / "stamp")
    path = study(
        "stamp",
        **{option: root / "clini.csv"},
        slides=root / "slide.csv",
        features=root / "features",
    )
    _check(path, "uni2")


def test_stamp_names_the_table_that_is_absent(tmp_path: Path) -> None:
    root = write_stamp(tmp_path / "stamp")
    (root / "slide.csv").unlink()
    with pytest.raises(ConfigError, match=r"no \*slide\*.csv .*`slide_table` of STAMP"):
        format_card("stamp").draft(Given(outcome=root))
    (root / "slide.csv").write_text("PATIENT,SLIDE\nA,B\n")
    with pytest.raises(
        ConfigError, match="no column FILENAME, which STAMP's slide_table has"
    ):
        format_card("stamp").draft(Given(outcome=root))
    with pytest.raises(ConfigError, match="expected --outcome FOLDER with the tables"):
        format_card("stamp").draft(Given())


def test_trident_pairs_slides_by_their_names(study: Study, tmp_path: Path) -> None:
    root = write_trident(tmp_path / "trident")
    path = study("trident", outcome=root / "outcome.csv", features=root / "job")
    _check(path, "uni_v1")
    rows = (path.parent / "slides.csv").read_text().splitlines()
    assert len(rows) == 1 + len(slide_names())


def test_trident_with_two_encoders_asks_for_one(study: Study, tmp_path: Path) -> None:
    root = write_trident(tmp_path / "trident")
    shutil.copytree(
        root / "job/20x_256px_0px_overlap/features_uni_v1",
        root / "job/20x_256px_0px_overlap/features_conch_v1",
    )
    given = Given(outcome=root / "outcome.csv", features=root / "job")
    with pytest.raises(
        ConfigError, match=r"several encoders or scales: .*features_conch_v1"
    ):
        format_card("trident").draft(given)
    own = root / "job/20x_256px_0px_overlap/features_uni_v1"
    _check(study("trident", outcome=root / "outcome.csv", features=own), "uni_v1")


def test_trident_says_what_a_job_holds(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    outcome = write_outcome(tmp_path)
    with pytest.raises(ConfigError, match="by its task feat; name the job folder"):
        format_card("trident").draft(Given(outcome=outcome, features=tmp_path / "job"))
    with pytest.raises(
        ConfigError, match="expected --outcome TABLE --features JOB_DIR"
    ):
        format_card("trident").draft(Given(features=write_trident_job(tmp_path / "x")))


@pytest.mark.parametrize("with_table", [True, False])
def test_clam_with_and_without_its_dataset_table(
    study: Study, tmp_path: Path, with_table: bool
) -> None:
    root = write_clam(tmp_path / "clam")
    table = {"slides": root / "dataset_csv/tumor_subtyping.csv"} if with_table else {}
    path = study(
        "clam",
        outcome=root / "outcome.csv",
        features=root / "FEATURES_DIRECTORY",
        **table,
    )
    _check(path, None)
    assert "h5_files" in path.read_text()  # with coordinates, unlike pt_files
    assert (path.parent / "slides.csv").exists() is not with_table


def test_the_folder_of_features_itself_will_do(study: Study, tmp_path: Path) -> None:
    root = write_clam(tmp_path / "clam")
    own = root / "FEATURES_DIRECTORY/pt_files"
    _check(study("clam", outcome=root / "outcome.csv", features=own), None)


def test_clam_refuses_folders_and_tables_of_others(tmp_path: Path) -> None:
    outcome = write_outcome(tmp_path)
    with pytest.raises(ConfigError, match="writes to --feat_dir"):
        format_card("clam").draft(Given(outcome=outcome, features=tmp_path))
    features = write_clam_features(tmp_path / "features")
    given = Given(outcome=outcome, features=features, slides=outcome)
    with pytest.raises(
        ConfigError, match="expected a column slide_id and one of patients"
    ):
        format_card("clam").draft(given)
    given = Given(outcome=outcome, features=features, slides=features)
    with pytest.raises(
        ConfigError, match="expected a table of slides and patients here"
    ):
        format_card("clam").draft(given)
