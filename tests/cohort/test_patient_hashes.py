"""Who was trained on: asked by id and by data, never read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from running import loaded, small
from survfuse.cohort import Cohort
from survfuse.cohort.patient_hashes import PatientHashes

MODALITIES = ("clinical", "expression", "slides")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def trained(cohort: Cohort) -> PatientHashes:
    """Of the first two patients, as a bundle gives it back."""
    kept = PatientHashes.with_data(cohort, cohort.patients[:2], MODALITIES).to_dict()
    return PatientHashes.from_dict(json.loads(json.dumps(kept)))


def test_the_same_data_are_known_again(cohort: Cohort, trained: PatientHashes) -> None:
    assert trained.among(cohort.patients[:3]).tolist() == [True, True, False]
    assert trained.unchanged(cohort, cohort.patients[:3], MODALITIES).tolist() == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_change_in_any_modality_is_seen(
    cohort: Cohort,
    trained: PatientHashes,
    tmp_path: Path,
    modality: str,
) -> None:
    files = small(tmp_path)
    assert files.expression is not None
    if modality == "clinical":
        files.set("002", "age", 41.5)
    elif modality == "expression":
        files.expression.loc["002"] += 0.25
    else:
        files.bags = {
            name: bag + (0.5 if name.startswith("002") else 0)
            for name, bag in files.bags.items()
        }
    other = loaded(files)
    assert trained.among(other.patients[:2]).all()
    assert trained.unchanged(other, other.patients[:2], MODALITIES).tolist() == [
        True,
        False,
    ]
    rest = [name for name in MODALITIES if name != modality]
    kept = PatientHashes.with_data(cohort, cohort.patients[:2], rest)
    assert kept.unchanged(other, other.patients[:2], rest).all(), (
        "what a model does not read does not count"
    )


def test_an_older_bundle_knows_ids_alone(cohort: Cohort) -> None:
    old = PatientHashes.from_dict(
        {"salt": "s", "sha256": PatientHashes.of(["001"], "s").to_dict()["sha256"]},
    )
    assert old.unchanged(cohort, ["001", "002"], MODALITIES).tolist() == [True, False]
