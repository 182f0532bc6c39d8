from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from builders import CohortFiles, cohort_files, patient_ids
from running import loaded, small
from survfuse._errors import CohortError, ConfigError, LeakageError, TransformError
from survfuse._storage import read_tensors, to_json, write_tensors
from survfuse.cohort import Cohort, Transforms, load_cohort, transforms
from survfuse.config import FitConfig

TRAIN = patient_ids(12)
CONFIGS = {
    "default": FitConfig(),
    "paper": FitConfig.of("paper"),
    "genes": FitConfig(expression_components=None, expression_top=5),
    "lean": FitConfig(bag_components=2, expression_components=3),
}


def state_text(transforms: Transforms) -> str:
    about, tensors = transforms.state()
    return to_json(
        [about, {name: [str(a.dtype), a.tolist()] for name, a in tensors.items()}],
    )


def fit(
    files: CohortFiles,
    config: FitConfig | None = None,
    patients: Sequence[str] = TRAIN,
) -> Transforms:
    return Transforms.fit(load_cohort(files.write()), patients, config or FitConfig())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_test_patients_change_nothing_that_is_learned(
    tmp_path: Path,
    config: FitConfig,
) -> None:
    texts = []
    for changed in (False, True):
        (tmp_path / str(changed)).mkdir()
        files = cohort_files(tmp_path / str(changed))
        assert files.expression is not None
        if changed:
            for patient in patient_ids(20)[12:]:
                files.set(patient, "age", "")
                files.set(patient, "sex", "X")
                files.set(patient, "stage", "")
                files.set(patient, "os_days", 9)
                files.expression.loc[patient] += 3
            files.bags["020_19"] = files.bags["020_19"] + 5
        texts.append(state_text(fit(files, config)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_training_patients_do_change_what_is_learned(
    tmp_path: Path,
    config: FitConfig,
) -> None:
    files = cohort_files(tmp_path)
    assert files.expression is not None
    before = state_text(fit(files, config))
    files.expression.loc["002"] += 1
    assert state_text(fit(files, config)) != before


def test_the_order_of_patients_and_rows_never_matters(files: CohortFiles) -> None:
    assert files.expression is not None
    before = state_text(fit(files))
    files.patients = files.patients.iloc[::-1]
    files.expression = files.expression.iloc[::-1]
    assert state_text(fit(files, patients=TRAIN[::-1])) == before


def test_rows_come_in_the_order_asked(files: CohortFiles) -> None:
    cohort = load_cohort(files.write())
    transforms = Transforms.fit(cohort, TRAIN, FitConfig())
    forward = transforms.apply(cohort, ["003", "015"])
    backward = transforms.apply(cohort, ["015", "003"])
    for name, values in forward.vectors.items():
        np.testing.assert_array_equal(values, backward.vectors[name][::-1])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_what_is_saved_gives_the_same_bits(
    files: CohortFiles,
    tmp_path: Path,
    config: FitConfig,
) -> None:
    files.set("002", "age", "")
    cohort = load_cohort(files.write())
    transforms = Transforms.fit(cohort, TRAIN, config)
    about, tensors = transforms.state()
    write_tensors(tmp_path / "t.safetensors", tensors, {})
    again = Transforms.from_state(
        json.loads(to_json(about)),
        read_tensors(tmp_path / "t.safetensors")[0],
    )
    first, second = transforms.apply(cohort), again.apply(cohort)
    for name, values in first.vectors.items():
        assert values.dtype == np.float32
        assert values.tobytes() == second.vectors[name].tobytes()
    tiles = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float16)
    assert (
        transforms.bag_scaler["slides"].scale(tiles).tobytes()
        == again.bag_scaler["slides"].scale(tiles).tobytes()
    )
    assert again.notes == transforms.notes
    assert again.blanks == transforms.blanks
    assert again.kinds == {
        "clinical": "clinical",
        "expression": "expression",
        "slides": "bag",
    }
    with pytest.raises(TransformError, match="expected state version 1, got 2"):
        Transforms.from_state({**about, "version": 2}, tensors)


def test_names_and_widths_agree_with_what_comes_out(files: CohortFiles) -> None:
    cohort = load_cohort(files.write())
    transforms = Transforms.fit(cohort, TRAIN, FitConfig())
    prepared = transforms.apply(cohort)
    assert transforms.modalities == ("clinical", "expression", "slides")
    for name, values in prepared.vectors.items():
        assert values.shape == (20, transforms.dims[name])
        assert len(transforms.feature_names[name]) == transforms.dims[name]
    assert transforms.dims["slides"] == 4
    assert transforms.feature_names["clinical"] == ("age", "stage", "sex=F", "sex=M")


def test_the_paper_gets_all_genes_as_they_are(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression["GENE1"] = 3.7  # at the floor in everyone, and kept
    cohort = load_cohort(files.write())
    prepared = Transforms.fit(cohort, TRAIN, FitConfig.of("paper")).apply(cohort)
    np.testing.assert_array_equal(
        prepared.vectors["expression"],
        files.expression.to_numpy(np.float32),
    )


def test_an_absent_modality_is_zero_and_not_present(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = files.expression.drop(index=["002", "015"])
    cohort = load_cohort(files.write())
    transforms = Transforms.fit(cohort, TRAIN, FitConfig())
    prepared = transforms.apply(cohort)
    row = cohort.patients.index("015")
    assert not prepared.present["expression"][row]
    assert not prepared.vectors["expression"][row].any()
    assert np.isnan(prepared.coverage["expression"][row])
    assert prepared.present["slides"].all()
    files.spec.pop("expression")
    without = transforms.apply(load_cohort(files.write()))
    assert not without.present["expression"].any()
    assert without.vectors["expression"].shape == (20, transforms.dims["expression"])


def test_modalities_are_chosen_by_name(files: CohortFiles) -> None:
    assert fit(files, FitConfig(modalities=("slides", "clinical"))).modalities == (
        "clinical",
        "slides",
    )
    with pytest.raises(
        ConfigError,
        match="has clinical, expression, slides, got blood",
    ):
        fit(files, FitConfig(modalities=("blood",)))


def test_a_modality_that_no_training_patient_has_is_refused(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = files.expression.drop(index=TRAIN)
    with pytest.raises(
        TransformError,
        match="expression: none of the 12 training patients",
    ):
        fit(files)


def test_unknown_patients_are_refused(files: CohortFiles) -> None:
    cohort = load_cohort(files.write())
    with pytest.raises(CohortError, match="no patient 'nobody'"):
        Transforms.fit(cohort, ["nobody"], FitConfig())


def followup(files: CohortFiles, **more: object) -> Cohort:
    files.patients["doses"] = range(20)
    files.spec["clinical"]["columns"]["doses"] = {
        "kind": "numeric",
        "known": "followup",
        **more,
    }
    return load_cohort(files.write())


def test_followup_columns_are_refused_unless_allowed_by_name(
    clinical: CohortFiles,
) -> None:
    cohort = followup(clinical)
    with pytest.raises(
        LeakageError,
        match=r"clinical: 'doses' accrue during follow-up.*allow_followup=\[doses\]",
    ):
        Transforms.fit(cohort, TRAIN, FitConfig())
    allowed = Transforms.fit(cohort, TRAIN, FitConfig(allow_followup=("doses",)))
    assert "doses" in allowed.feature_names["clinical"]
    with pytest.raises(ConfigError, match="no input is called 'dosis'"):
        Transforms.fit(cohort, TRAIN, FitConfig(allow_followup=("dosis",)))


def test_followup_columns_may_be_set_aside(clinical: CohortFiles) -> None:
    transforms = Transforms.fit(followup(clinical, use=False), TRAIN, FitConfig())
    assert "doses" not in transforms.feature_names["clinical"]


def other(tmp_path: Path, **spec: object) -> CohortFiles:
    (tmp_path / "other").mkdir()
    files = cohort_files(tmp_path / "other", seed=1)
    for section, values in spec.items():
        files.spec[section] = {**files.spec[section], **values}  # type: ignore[dict-item]
    return files


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"expression": {"unit": "vst"}},
            "trained on unit 'log2tpm', this cohort has 'vst'",
        ),
        (
            {"slides": {"encoder": "gigapath"}},
            "encoder 'uni', this cohort has 'gigapath'",
        ),
        (
            {"slides": {"mpp": 0.25}},
            "tiles of 0.5 microns per pixel, this cohort has 0.25",
        ),
        ({"clinical": {"columns": {"age": "numeric"}}}, "does not declare: stage, sex"),
        (
            {
                "clinical": {
                    "columns": {"age": "nominal", "stage": "nominal", "sex": "nominal"},
                },
            },
            "column 'age' was numeric in training, but is nominal here",
        ),
    ],
)
def test_another_meaning_is_refused(
    files: CohortFiles,
    tmp_path: Path,
    spec: dict[str, object],
    message: str,
) -> None:
    transforms = fit(files)
    with pytest.raises(TransformError, match=message):
        transforms.apply(
            load_cohort(other(tmp_path, **spec).write(), need_outcome=False),
        )


def test_another_width_is_refused(files: CohortFiles, tmp_path: Path) -> None:
    transforms = fit(files)
    (tmp_path / "wide").mkdir()
    wide = load_cohort(cohort_files(tmp_path / "wide", dim=6).write())
    with pytest.raises(
        TransformError,
        match=r"trained on 4 features per tile \(uni\), this cohort has 6",
    ):
        transforms.apply(wide)


def test_another_kind_is_refused(files: CohortFiles, tmp_path: Path) -> None:
    transforms = fit(files)
    foreign = other(tmp_path)
    del foreign.spec["expression"]
    foreign.spec["modalities"] = {"genes": {"table": "genes.csv"}}
    foreign.tables["genes.csv"] = pd.DataFrame(
        {"patient_id": patient_ids(20), "GENE1": range(20)},
    )
    tables = Transforms.fit(
        load_cohort(foreign.write()),
        TRAIN,
        FitConfig(modalities=("genes",)),
    )
    files.spec["modalities"] = {"genes": {**files.spec.pop("expression")}}
    with pytest.raises(
        TransformError,
        match="was of kind table in training, this cohort has expression",
    ):
        tables.apply(load_cohort(files.write()))
    assert transforms.modalities[1] == "expression"


def test_the_same_fit_is_recalled_and_another_is_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = loaded(small(tmp_path))
    fits: list[tuple[str, ...]] = []
    real = transforms._fit_one

    def heard(data: Any, train: tuple[str, ...], *rest: Any) -> Any:
        fits.append((data.name, *train))
        return real(data, train, *rest)

    monkeypatch.setattr(transforms, "_fit_one", heard)
    ids = cohort.patients
    first = Transforms.fit(cohort, ids[:12], FitConfig.of(seed=1))
    again = Transforms.fit(cohort, reversed(ids[:12]), FitConfig.of(seed=2, epochs=3))
    assert len(fits) == 3
    assert again.fitted["slides"] is first.fitted["slides"]
    Transforms.fit(cohort, ids[1:13], FitConfig.of())
    Transforms.fit(
        cohort,
        ids[:12],
        FitConfig.of(expression_components=2, bag_components=2),
    )
    assert len(fits) == 9
    other = loaded(small(tmp_path / "other"))  # the same ids, other objects
    Transforms.fit(other, ids[:12], FitConfig.of(seed=1))
    assert len(fits) == 12
    assert cohort.outcome is not None
    swapped = cohort.outcome.assign(event=~cohort.outcome["event"].astype(bool))
    Transforms.fit(replace(cohort, outcome=swapped), ids[:12], FitConfig.of(seed=1))
    assert len(fits) == 15
