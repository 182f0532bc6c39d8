"""Slides find their patients by a column of a table, or by the beginning of their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError
from survfuse.drafts.draft import Draft
from survfuse.drafts.guess import Blank, Guess
from survfuse.drafts.slides import find_images, pair_slides, put_features, put_images
from survfuse.drafts.tables import GivenTable


@pytest.fixture
def features(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    folder.mkdir()
    for name in ("P1-A", "P1-B", "P10", "other"):
        np.save(folder / f"{name}.npy", np.ones((3, 4), np.float16))
    return folder


def test_the_longest_id_wins_and_ends_at_a_mark() -> None:
    slides = ["P1-A", "P10", "P100", "p1_b.svs"]
    assert pair_slides(slides, ["P1", "P10"]) == {
        "P1-A": "P1",
        "P10": "P10",
        "p1_b.svs": "P1",
    }


def test_barcodes_are_paired_by_their_participant() -> None:
    slides = ["TCGA-05-4249-01Z-00-DX1.9fce", "TCGA-05-9999-01Z-00-DX1.9fce"]
    assert pair_slides(slides, ["TCGA-05-4249-01"]) == {slides[0]: "TCGA-05-4249-01"}


def test_a_table_is_made_from_names_and_says_who_is_left(features: Path) -> None:
    draft = Draft()
    put_features(draft, features, ["P1", "P10"], [])
    assert draft.tables == {
        "slides.csv": "slide_id,patient_id\nP1-A,P1\nP1-B,P1\nP10,P10\n",
    }
    section = draft.section("slides")
    assert section.items["table"] == Guess(
        Path("slides.csv"),
        "made from the names: 3 slides of 2 patients",
    )
    assert section.notes[0] == "no patient of the outcome for 1 slides: other"


def test_a_column_of_a_given_table_goes_first(features: Path) -> None:
    frame = pd.DataFrame(
        {"case": ["P1", "P1", "P10"], "slide_id": ["P1-A.svs", "P1-B.svs", "P10.svs"]},
    )
    draft = Draft()
    put_features(
        draft, features, ["P1", "P10"], [(GivenTable(Path("t.csv"), frame), "case")]
    )
    section = draft.section("slides")
    values = {
        key: item.value
        for key, item in section.items.items()
        if isinstance(item, Guess)
    }
    assert values["table"] == Path("t.csv")
    assert (values["slide"], values["patient"]) == ("slide_id", "case")
    assert not draft.tables


def test_names_without_a_patient_leave_a_blank(features: Path) -> None:
    draft = Draft()
    put_features(draft, features, ["Q1"], [])
    assert isinstance(draft.section("slides").items["table"], Blank)


def test_masks_are_no_slides(tmp_path: Path) -> None:
    for name in ("P1.svs", "P1_mask.tif", "P2.TIF", "notes.txt"):
        (tmp_path / name).touch()
    assert find_images(tmp_path) == ["P1", "P2"]


def test_images_alone_wait_for_their_features(tmp_path: Path) -> None:
    (tmp_path / "P1.svs").touch()
    draft = Draft()
    put_images(draft, tmp_path, ["P1"], [])
    assert draft.section("slides").items["features"] == Guess(
        Path("features"),
        "`survfuse extract cohort.yaml` writes them here",
    )


def test_files_of_two_encoders_leave_a_blank_with_both_folders(tmp_path: Path) -> None:
    for folder, patient, width in (("uni", "P1", 4), ("virchow", "P2", 8)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / f"{patient}.npy", np.ones((3, width), np.float16))
    draft = Draft()
    put_features(draft, tmp_path, ["P1", "P2"], [])
    blank = draft.section("slides").items["features"]
    assert isinstance(blank, Blank)
    assert [one.value for one in blank.choices] == [
        tmp_path / "uni",
        tmp_path / "virchow",
    ]
    assert "(4, P1.npy)" in blank.evidence
    assert "(8, P2.npy)" in blank.evidence


def test_a_folder_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(InputError, match=r"cannot be (read|opened) \(Permission"):
        find_images(tmp_path)
