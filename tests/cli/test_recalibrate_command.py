"""A bundle fitted anew to other patients: what is said, written and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import survfuse
from running import Command, quick, small

TRAINED = 14


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("cohort")).write()


@pytest.fixture(scope="module")
def bundle(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = survfuse.load_cohort(cohort)
    model = quick().fit(data, data.patients[:TRAINED])
    return model.save(tmp_path_factory.mktemp("bundle") / "b")


@pytest.fixture
def others(cohort: Path, tmp_path: Path) -> Path:
    """File of the patients that were not trained on."""
    file = tmp_path / "others.txt"
    file.write_text("\n".join(survfuse.load_cohort(cohort).patients[TRAINED:]) + "\n\n")
    return file


def test_slope_and_events_are_said_before_and_after(
    command: Command,
    bundle: Path,
    cohort: Path,
    others: Path,
    tmp_path: Path,
) -> None:
    new, told = tmp_path / "new", tmp_path / "told.json"
    ended = command(
        "recalibrate", bundle, cohort, "-o", new, "--patients", others, "--json", told
    )
    assert ended.code == 0, ended.err
    assert ended.out.startswith("recalibrated on 10 patients, 5 events of tiny\n")
    assert "after, in sample" in ended.out
    assert "uncertain with fewer than 50" in ended.out
    assert ended.out.endswith(f"bundle: {new}\n")
    record = json.loads(told.read_text())
    assert (record["patients"], record["events"], record["unit"]) == (10, 5, "days")
    ratio = record["observed_expected"]
    assert ratio["before"]["low"] < ratio["before"]["value"] < ratio["before"]["high"]
    assert ratio["after"]["value"] == pytest.approx(1, abs=1e-6)
    for metric in ("calibration_slope", "observed_expected"):
        assert record[metric]["before"]["n"] == 10
        assert "no evidence about others" in record[metric]["after"]["note"]
    data = survfuse.load_cohort(cohort)
    old, now = (survfuse.load(one).predict(data) for one in (bundle, new))
    np.testing.assert_array_equal(old.log_risk, now.log_risk)
    assert now.calibrator.name == "breslow_cal"


def test_training_patients_are_refused(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
) -> None:
    ended = command("recalibrate", bundle, cohort, "-o", tmp_path / "new")
    assert ended.code == 2
    assert "calibration cohort 'tiny': 14 patient(s) were trained on: 001" in ended.err
    assert not (tmp_path / "new").exists()


def test_no_bundle_is_replaced_by_accident(
    command: Command,
    bundle: Path,
    cohort: Path,
    others: Path,
    tmp_path: Path,
) -> None:
    new = tmp_path / "new"
    words = ("recalibrate", bundle, cohort, "--patients", others, "-o")
    assert command(*words, new).code == 0
    ended = command(*words, new)
    assert ended.code == 2
    assert (
        "a bundle is there already; choose another folder, or replace it" in ended.err
    )
    assert command(*words, new, "--force").code == 0
    ended = command(*words, bundle, "--force")
    assert ended.code == 2
    assert "is the bundle itself, whose calibration would be lost" in ended.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "expected a patient on each line, got none"),
        ("099\n", "cohort 'tiny' has no patient '099'"),
    ],
)
def test_a_list_of_nobody_is_refused(
    command: Command,
    bundle: Path,
    cohort: Path,
    tmp_path: Path,
    text: str,
    message: str,
) -> None:
    file = tmp_path / "ids.txt"
    file.write_text(text)
    ended = command(
        "recalibrate", bundle, cohort, "-o", tmp_path / "new", "--patients", file
    )
    assert ended.code == 2
    assert message in ended.err
