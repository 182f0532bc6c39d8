"""Slide tables and feature files: which belong together, which are left out, and what is said of the rest."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from builders import CohortFiles
from survfuse._errors import CohortError, FeatureFileError, TransformError
from survfuse.cohort import inspect, load_cohort, pack_cohort
from survfuse.cohort.modalities import BagData
from survfuse.cohort.transform_bags import BagScaler

Rename = Callable[[str], str]


def bags(files: CohortFiles) -> BagData:
    data = load_cohort(files.write()).modalities["slides"]
    assert isinstance(data, BagData)
    return data


def found(files: CohortFiles) -> list[tuple[str, str, str]]:
    """Problems of the slides as (severity, patients, message)."""
    problems = inspect(files.write()).problems
    return [(p.severity, p.patient, p.message) for p in problems if p.where == "slides"]


def rename(files: CohortFiles, table: Rename, file: Rename) -> None:
    """Call slides otherwise in the table and as files."""
    assert files.slides is not None
    files.slides["slide_id"] = files.slides["slide_id"].map(table)
    files.bags = {file(name): values for name, values in files.bags.items()}


@pytest.mark.parametrize(
    "ending",
    [".h5", ".HDF5", ".pt", ".npy", ".zarr", ".SVS", ".ome.tiff", ".svs.h5"],
)
def test_every_ending_may_stay_in_the_table(files: CohortFiles, ending: str) -> None:
    rename(
        files,
        lambda name: f"TCGA-{name}-DX1.9FCE{ending}",
        lambda name: f"TCGA-{name}-DX1.9FCE",
    )
    assert len(bags(files).patients) == 20
    assert found(files) == []


def test_a_column_of_paths_in_folders_is_taken(files: CohortFiles) -> None:
    rename(files, lambda name: f"site1/{name}.h5", lambda name: name)
    assert len(bags(files).patients) == 20


def test_accents_may_be_written_in_two_ways(files: CohortFiles) -> None:
    rename(
        files,
        lambda name: unicodedata.normalize("NFC", f"é{name}.svs"),
        lambda name: unicodedata.normalize("NFD", f"é{name}"),
    )
    assert len(bags(files).patients) == 20
    assert found(files) == []


def test_a_name_without_its_last_part_is_named_as_the_difference(
    files: CohortFiles,
) -> None:
    rename(files, lambda name: f"{name}-DX1.svs", lambda name: f"{name}-DX1.9FCE0297")
    with pytest.raises(
        CohortError,
        match=r"after a dot are other slides: '001_0-DX1.svs' \('001_0-DX1.9FCE0297'\)",
    ):
        load_cohort(files.write())


def test_letter_case_alone_is_told(files: CohortFiles) -> None:
    rename(files, lambda name: f"SLIDE{name}.SVS", lambda name: f"slide{name}")
    assert len(bags(files).patients) == 20
    [(severity, _, message)] = found(files)
    assert severity == "warning"
    assert message.startswith(
        "21 slide(s) differ from their feature file only in letter case",
    )


def test_whole_numbers_that_pandas_wrote_are_told(files: CohortFiles) -> None:
    rename(
        files,
        lambda name: f"{name.replace('_', '9')}.0",
        lambda name: name.replace("_", "9"),
    )
    assert len(bags(files).patients) == 20
    assert "only in letter case or a final '.0'" in found(files)[0][2]


def test_leading_zeros_are_told_and_not_taken_for_the_same(files: CohortFiles) -> None:
    rename(files, lambda name: f"0{name}", lambda name: name)
    with pytest.raises(
        CohortError,
        match=r"'0001_0' stands there as '001_0': leading zeros is all",
    ):
        load_cohort(files.write())


def test_two_rows_of_one_file_are_an_error(files: CohortFiles) -> None:
    assert files.slides is not None
    files.slides.loc[20, "slide_id"] = "001_0.svs"
    assert (
        "error",
        "001",
        "slides '001_0', '001_0.svs' differ in their endings only and have one feature file, '001_0'",
    ) in found(files)


# -- slides that cannot be used


def test_files_being_written_are_told_with_their_patients(files: CohortFiles) -> None:
    files.write()
    (files.root / "features" / "003_2.npy.lock").touch()
    (files.root / "features" / "004_3.lock").touch()
    (files.root / "features" / "001_20.npy.lock").touch()
    del files.bags["004_3"]
    (files.root / "features" / "004_3.npy").unlink()
    assert found(files) == [
        (
            "warning",
            "",
            "3 slide(s) not used, as a .lock file lies beside their feature file: 003_2, 004_3, 001_20",
        ),
        (
            "warning",
            "003, 004",
            "2 patient(s) of the slide table have no slide that can be used and count as without slides",
        ),
    ]
    assert len(bags(files).patients) == 18
    for lock in (files.root / "features").glob("*.lock"):
        lock.unlink()  # what the hint says
    assert len(bags(files).patients) == 19


def test_empty_slides_are_told_with_the_patients_they_cost(files: CohortFiles) -> None:
    files.bags["003_2"] = np.zeros((0, 4), np.float32)
    files.bags["005_4"] = np.zeros(0, np.float32)
    files.bags["001_20"] = np.zeros((0, 4), np.float32)
    assert found(files) == [
        (
            "warning",
            "",
            "3 slide(s) without tiles: 001_20, 003_2, 005_4: their feature files have no rows; "
            "2 patient(s) have no other slide and count as without slides: 003, 005",
        ),
    ]
    assert len(bags(files).patients) == 18


def test_slides_can_be_excluded(files: CohortFiles) -> None:
    files.bags["003_2"] = np.full((3, 4), np.nan, np.float32)
    files.bags["005_4"] = np.full((3, 4), np.nan, np.float32)
    files.spec["slides"]["exclude_slides"] = ["003_2", "005_4.svs", "nobody"]
    assert len(bags(files).patients) == 18
    assert found(files) == [("warning", "", "exclude_slides: no such slide: 'nobody'")]


def test_broken_files_of_excluded_patients_are_no_problem(files: CohortFiles) -> None:
    files.bags["003_2"] = np.full((3, 4), np.nan, np.float32)
    files.spec["exclude"] = ["003"]
    path = files.write()
    assert len(load_cohort(path)) == 19
    assert (
        "003" not in pack_cohort(path, out=files.root / "mine.bags")["slides"].patients
    )


def test_columns_that_are_not_finite_can_be_left_out(files: CohortFiles) -> None:
    for slide in ("003_2", "005_4", "007_6"):
        files.bags[slide][:, 1] = np.nan
        files.bags[slide][0, 3] = np.inf
    said = sorted(found(files))
    assert [(severity, patients) for severity, patients, _ in said] == [
        ("error", one) for one in ("003", "005", "007")
    ]
    for slide, (_, _, message) in zip(("003_2", "005_4", "007_6"), said, strict=True):
        assert message.startswith(f"slide {slide!r}: ")
        assert (
            "columns 1, 3 (counted from 0); `exclude_features: [1, 3]` leaves them out"
            in message
        )
    files.spec["slides"]["exclude_features"] = [3, 1, 1]
    data = bags(files)
    assert (data.features, data.store.encoder) == (2, "uni_without_1_3")
    np.testing.assert_array_equal(
        data.store.gather(["003"])[0],
        files.bags["003_2"][:, [0, 2]],
    )


def test_a_model_never_takes_other_columns_for_those_left_out(
    files: CohortFiles,
) -> None:
    files.spec["slides"]["exclude_features"] = [1]
    data = bags(files)
    scaler = BagScaler.fit(data, data.patients, scaling="standard")
    scaler.check(data)
    files.spec["slides"]["exclude_features"] = [2]
    with pytest.raises(
        TransformError,
        match="'uni_without_1', this cohort has 'uni_without_2'; name the same col",
    ):
        scaler.check(bags(files))


def test_many_slides_refused_for_one_reason_are_one_problem(files: CohortFiles) -> None:
    for slide in ("003_2", "005_4", "007_6"):
        files.bags[slide] = np.full((2, 4), np.nan, np.float32)
    [(_, patients, message)] = found(files)
    assert patients == "003, 005, 007"
    assert message.startswith(
        "3 slides ('003_2', '005_4', '007_6'), the first of which: ",
    )
    assert "8 of 8 feature values" in message
    assert "2 tiles without a finite value" in message
    hint = inspect(files.write()).problems[0].hint
    assert (
        hint
        == '`exclude_slides: ["003_2", "005_4", "007_6"]` in this section leaves them out'
    )


# -- files of other tools


def write_all(
    files: CohortFiles,
    save: Callable[[Path, np.ndarray], None],
    ending: str,
) -> None:
    """Write every bag in another format."""
    files.write()
    for name, values in files.bags.items():
        (files.root / "features" / f"{name}.npy").unlink()
        save(files.root / "features" / f"{name}{ending}", values)
    files.bags = {}


def test_features_under_another_key(files: CohortFiles) -> None:
    def save(path: Path, values: np.ndarray) -> None:
        with h5py.File(path, "w") as file:
            file["embeddings"], file["coords"] = values, np.zeros((len(values), 2), int)

    tiles = len(files.bags["001_0"])
    write_all(files, save, ".h5")
    [(_, _, message)] = found(
        files,
    )  # one problem, though the slides have other numbers of tiles
    assert message.startswith("21 slides ('001_0', '001_20', ")
    assert f"found coords ({tiles}, 2), embeddings ({tiles}, 4); " in message
    assert "coordinates" not in message
    files.spec["slides"]["key"] = "embeddings"
    assert len(bags(files).patients) == 20


def test_vectors_of_whole_slides_are_bags_of_one(files: CohortFiles) -> None:
    write_all(files, lambda path, values: torch.save(values[0], path), ".pt")
    data = bags(files)
    assert (len(data.patients), data.tiles()) == (20, 21)
    assert found(files) == [
        (
            "warning",
            "",
            "each of 21 slides has one feature vector: taken as an embedding of the whole slide",
        ),
    ]


def test_settings_beside_the_bags_are_part_of_them(files: CohortFiles) -> None:
    write_all(files, lambda path, values: torch.save(values, path), ".pt")
    del files.spec["slides"]["encoder"], files.spec["slides"]["mpp"]
    assert bags(files).store.encoder is None
    config = files.root / "features" / "bags_config.json"
    config.write_text(
        '{"extractor": {"class": "slideflow.model.extractors.plip.PLIPFeatures"}}',
    )
    assert bags(files).store.encoder == "plip"


def test_empty_slides_of_a_packed_store_are_told_too(files: CohortFiles) -> None:
    files.bags["003_2"] = np.zeros((0, 4), np.float32)
    pack_cohort(files.write(), out=files.root / "mine.bags")
    files.spec["slides"] = {"packed": "mine.bags"}
    assert found(files)[0][2] == (
        "1 slide(s) without tiles: 003_2: their feature files have no rows; 1 patient(s) have no other slide "
        "and count as without slides: 003"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "x"),
        ("tiles", "t"),
        ("exclude_slides", ["a"]),
        ("exclude_features", [1]),
    ],
)
def test_choices_belong_to_feature_files(
    files: CohortFiles,
    field: str,
    value: object,
) -> None:
    files.spec["slides"] = {"packed": "x.bags", field: value}
    problems = inspect(files.write()).problems
    assert (
        f"`{field}`: belong to `features`; a packed store is taken whole"
        in problems[0].message
    )


def test_packing_ahead_knows_the_choices(files: CohortFiles) -> None:
    files.spec["slides"]["exclude_features"] = [0]
    path = files.write()
    assert pack_cohort(path, out=files.root / "mine.bags")["slides"].dim == 3
    assert (
        pack_cohort(path, out=files.root / "mine.bags")["slides"].dim == 3
    )  # the same again
    files.spec["slides"]["exclude_features"] = [1]
    with pytest.raises(
        FeatureFileError,
        match=r"is not a whole store of these files .it was packed with other declarations.; pass",
    ):
        pack_cohort(files.write(), out=files.root / "mine.bags")


def test_the_table_of_another_tool_is_used_as_it_is(files: CohortFiles) -> None:
    """STAMP's slide table has columns PATIENT and FILENAME, the latter with ``.h5``."""
    assert files.slides is not None
    table = pd.DataFrame(
        {
            "PATIENT": files.slides["patient_id"],
            "FILENAME": files.slides["slide_id"] + ".h5",
        },
    )
    files.slides = table
    files.spec["slides"] |= {"slide": "FILENAME", "patient": "PATIENT"}
    assert len(bags(files).patients) == 20
