from __future__ import annotations

import json
from pathlib import Path

import pytest

from painted_explanation import painted_bundle, painted_cohort, painted_cohort_file
from running import Command
from small_explanations import bundle_folder, cohort_file


def test_maps_are_a_part_of_the_explanation(command: Command, tmp_path: Path) -> None:
    out, patient = tmp_path / "why", painted_cohort().patients[0]
    words = (
        "explain",
        painted_bundle(),
        painted_cohort_file(),
        "-o",
        out,
        "-q",
        "--no-tiles",
    )
    ended = command(
        *words, "--patients", patient, "--map-format", "pixels", "--score", "attention"
    )
    assert ended.code == 0, ended.err
    assert f"maps: 1 slides of 1 patients in {out}/maps\n" in ended.out
    record = json.loads((out / "explanation.json").read_text())
    (slide,) = record["maps"]["slides"]
    assert record["maps"]["scores"] == ["attention"]
    assert {f"maps/{name}" for name in slide["files"]} <= record["files"].keys()
    assert any(name.endswith(".attention.pixels.png") for name in slide["files"])
    assert command(*words, "--patients", patient, "--force").code == 0
    assert not (out / "maps").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--map-format", "svg"),
            "expected png, pixels, tiff, qupath, hdf5, parquet, got svg",
        ),
        (("--maps", "--origin", "top"), "expected bounds or full, got 'top'"),
        (
            ("--maps", "--score", "risk"),
            "score: no map has risk; there are: tile_risk, ",
        ),
    ],
)
def test_what_there_is_not_is_refused(
    command: Command, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    ended = command(
        "explain",
        painted_bundle(),
        painted_cohort_file(),
        "-o",
        tmp_path / "why",
        "-q",
        *words,
    )
    assert ended.code == 2
    assert told in ended.err
    assert not (tmp_path / "why").exists()


def test_slides_without_maps_are_named_and_the_rest_is_there(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "why"
    ended = command(
        "explain", bundle_folder(), cohort_file(), "-o", out, "-q", "--maps"
    )
    assert ended.code == 3
    assert (
        "25 slides have no map: patient 001: slide '001_0': it is not known"
        in ended.err
    )
    assert (out / "terms.csv").exists()
    record = json.loads((out / "explanation.json").read_text())
    assert len(record["maps"]["failed"]) == 25
