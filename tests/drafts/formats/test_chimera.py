"""The challenge's training folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from layouts import DIM, PATIENTS, write_chimera
from survfuse._errors import ConfigError, InputError
from survfuse.cohort import load_cohort
from survfuse.datasets import simulate
from survfuse.drafts import Given, format_card

Study = Callable[..., Path]
FIELDS = 12  # and the doses, which no model sees


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_the_released_folder(
    study: Study, tmp_path: Path, flat: bool, old: bool
) -> None:
    path = study(
        "chimera", outcome=write_chimera(tmp_path / "task3", flat=flat, old=old)
    )
    cohort = load_cohort(path)
    assert len(cohort) == PATIENTS - 1  # 3B_417_ is 3B_417
    assert {name: data.features for name, data in cohort.modalities.items()} == {
        "clinical": FIELDS,
        "expression": 60,
        "slides": DIM,
    }
    assert cohort.unit == "months"
    assert cohort.modalities["expression"].expression.unit == "vst"


def test_doses_are_marked_as_follow_up(study: Study, tmp_path: Path) -> None:
    text = study("chimera", outcome=write_chimera(tmp_path / "task3")).read_text()
    assert "no_instillations: {kind: numeric, known: followup, use: false}" in text
    assert "one patient under two ids: 3B_417 and 3B_417_" in text


def test_letter_case_is_made_one_and_said(study: Study, tmp_path: Path) -> None:
    path = study("chimera", outcome=write_chimera(tmp_path / "task3"))
    table = pd.read_csv(path.parent / "patients.csv", dtype=str, keep_default_na=False)
    assert set(table["sex"]) == {"Male", "Female"}
    assert "letter case made one: " in path.read_text()
    assert set(table["LVI"]) == {"Yes", "No", "-1"}


def test_a_level_of_nobody_else_is_doubted(study: Study, tmp_path: Path) -> None:
    root = write_chimera(tmp_path / "task3")
    file = root / "data/3A_004/3A_004_CD.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "stage": "T3"}))
    text = study("chimera", outcome=root).read_text()
    assert "check: no level of the challenge: T3" in text


def test_a_simulated_folder(study: Study, tmp_path: Path) -> None:
    options = {"patients": 30, "tiles": 8, "tile_dim": 8, "genes": 60, "hold_out": 4}
    root = simulate(tmp_path / "train", layout="chimera", **options)
    cohort = load_cohort(study("chimera", outcome=root))
    assert len(cohort) == 30  # new patients lie in another folder
    same = load_cohort(simulate(tmp_path / "tables", leak=False, **options))
    assert cohort.outcome.time.tolist() == same.outcome.time.tolist()
    assert cohort.outcome.event.tolist() == same.outcome.event.tolist()
    assert len(cohort.modalities["slides"].patients) == 30


def test_slides_without_features_wait_for_extract(study: Study, tmp_path: Path) -> None:
    root = simulate(
        tmp_path / "train",
        patients=8,
        genes=20,
        images=True,
        slide_px=256,
        layout="chimera",
    )
    path = study("chimera", outcome=root)
    assert "`survfuse extract` writes them" in path.read_text()
    table = pd.read_csv(path.parent / "slides.csv")
    assert list(table.columns) == ["slide_id", "patient_id", "path", "mask"]
    assert table["path"][0] == "3A_001/3A_001_HE.tif"
    for column in ("path", "mask"):
        assert all((root / "data" / one).is_file() for one in table[column])


def test_what_is_absent_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no <ID>_CD.json"):
        format_card("chimera").draft(Given(outcome=tmp_path))
    file = tmp_path / "3A_001_CD.json"
    file.write_text('{"age": 70, "Sex": "Male", "sex": "Male"}')
    with pytest.raises(InputError, match="sex stands twice, in two letter cases"):
        format_card("chimera").draft(Given(outcome=tmp_path))
    file.write_text('{"age": [70]}')
    with pytest.raises(InputError, match="age: expected a text or a number, got list"):
        format_card("chimera").draft(Given(outcome=tmp_path))
    file.write_text('{"age": 70}')
    with pytest.raises(ConfigError, match="no labels: expected the fields progression"):
        format_card("chimera").draft(Given(outcome=tmp_path))
