from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from builders import CohortFiles, cohort_files
from survfuse._errors import LeakageError
from survfuse.cohort import Cohort, Transforms, load_cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.drift import Drift, DriftReport, Frame, Usual
from survfuse.cohort.modalities import ExpressionData
from survfuse.cohort.patient_hashes import PatientHashes
from survfuse.config import FitConfig

CONFIG = FitConfig(expression_components=6, bag_components=3)
TRAINED = 150


def written(root: Path, patients: int = 250, **how: Any) -> CohortFiles:
    root.mkdir()
    return cohort_files(root, patients=patients, genes=20, **how)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return load_cohort(written(tmp_path_factory.mktemp("drift") / "c").write())


@pytest.fixture(scope="module")
def transforms(cohort: Cohort) -> Transforms:
    return Transforms.fit(cohort, cohort.patients[:TRAINED], CONFIG)


@pytest.fixture(scope="module")
def drift(cohort: Cohort, transforms: Transforms) -> Drift:
    return Drift.fit(BatchSource(cohort, transforms, cohort.patients[:TRAINED]))


def judged(
    drift: Drift,
    transforms: Transforms,
    cohort: Cohort,
    ids: Any = None,
) -> DriftReport:
    return drift.judge(
        BatchSource(
            cohort,
            transforms,
            cohort.patients[TRAINED:] if ids is None else ids,
        ),
    )


def test_whose_data_were_trained_on_is_not_judged_by_a_far_value(
    tmp_path: Path,
) -> None:
    files = written(tmp_path / "c", patients=60, modalities=("clinical",))
    files.patients.loc[3, "age"] = 900
    cohort = load_cohort(files.write())
    source = BatchSource(
        cohort,
        Transforms.fit(cohort, cohort.patients, CONFIG),
        cohort.patients,
    )
    fitted = Drift.fit(source)
    assert fitted.judge(source).share["clinical"][3] == 0
    seen = np.arange(60) < 30
    assert (
        np.isnan(fitted.judge(source, seen).share["clinical"]).tolist() == seen.tolist()
    )


# -- the distance


def test_the_distance_is_mahalanobis_plus_the_rest() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)) * [3, 2, 1, 0.5, 0.1]
    frame = Frame.fit(x, np.ones(5), 5)
    new = rng.normal(size=(9, 5))
    assert frame.axes.shape == (5, 5)
    z = (new - x.mean(axis=0)) @ frame.axes.T
    np.testing.assert_allclose(
        frame.distance(new),
        (z**2 / frame.variance).mean(axis=1),
    )
    pull = 5 / 405
    eigen = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    np.testing.assert_allclose(frame.variance, (1 - pull) * eigen + pull * eigen.mean())


def test_the_rest_is_what_the_axes_do_not_span() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 30))
    frame = Frame.fit(x, np.ones(30), 8)
    assert frame.axes.shape == (8, 30)
    z = x - x.mean(axis=0)
    outside = z - z @ frame.axes.T @ frame.axes
    assert frame.rest == pytest.approx((outside**2).sum(axis=1).mean())
    along = ((z @ frame.axes.T) ** 2 / frame.variance).mean(axis=1)
    np.testing.assert_allclose(
        frame.distance(x),
        along + (outside**2).sum(axis=1) / frame.rest,
    )


@pytest.mark.parametrize("features", [1, 10, 100])
@pytest.mark.parametrize("patients", [30, 400])
def test_new_patients_of_the_same_kind_are_flagged_at_the_nominal_rate(
    patients: int,
    features: int,
) -> None:
    """The rate of one training cohort varies; that of 25 is near what it should be."""
    flagged, total = 0, 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(features, features)) / np.sqrt(features)
        x = rng.standard_t(8, size=(patients + 100, features)) @ mixing
        usual = Usual.fit(x[:patients], np.ones(features))
        flagged += int(usual.outside(usual.share(x[patients:])).sum())
        total += 100
    rate = flagged / total
    assert rate == pytest.approx(usual.nominal, abs=0.6 * usual.nominal)


def test_the_nominal_rate() -> None:
    for patients, rate in (
        (30, 1 / 31),
        (98, 1 / 99),
        (99, 1 / 100),
        (150, 1 / 151),
        (400, 4 / 401),
    ):
        usual = Usual.fit(
            np.random.default_rng(0).normal(size=(patients, 2)),
            np.ones(2),
        )
        assert usual.nominal == pytest.approx(rate)
        assert usual.range == ("99% of" if patients >= 99 else f"all {patients}")
        order = np.arange(patients) / patients  # the farthest, the second farthest, ...
        assert usual.outside(order).sum() == round(rate * (patients + 1))


# -- cohorts


def test_patients_of_the_same_cohort_are_not_told_to_differ(
    drift: Drift,
    transforms: Transforms,
    cohort: Cohort,
) -> None:
    report = judged(drift, transforms, cohort)
    assert set(report.share) == {"clinical", "expression", "slides"}
    for name, share in report.share.items():
        # Axes that the transform took from the training patients' noise fit nobody else: new ones lie nearer.
        assert 0.35 < share.mean() < (0.8 if name == "expression" else 0.65), name
        assert report.outside[name].sum() <= 5, name
    assert [message for who, message in report.notes if not who] == []
    again = judged(drift, transforms, cohort, cohort.patients[:TRAINED])
    assert sum(out.sum() for out in again.outside.values()) <= 6


def changed(tmp_path: Path, how: Any) -> Cohort:
    files = written(tmp_path / "new")
    how(files)
    return load_cohort(files.write(), need_outcome=False)


def other_laboratory(files: CohortFiles) -> None:
    assert files.expression is not None
    files.expression = files.expression + np.linspace(-3, 3, 20)


def other_scanner(files: CohortFiles) -> None:
    files.bags = {name: bag * 3 + 2 for name, bag in files.bags.items()}


def far_more_tiles(files: CohortFiles) -> None:
    files.bags = {name: np.tile(bag, (60, 1)) for name, bag in files.bags.items()}


@pytest.mark.parametrize(
    ("how", "modality"),
    [
        (other_laboratory, "expression"),
        (other_scanner, "slides"),
        (far_more_tiles, "slides"),
    ],
)
def test_another_laboratory_is_told(
    drift: Drift,
    transforms: Transforms,
    tmp_path: Path,
    how: Any,
    modality: str,
) -> None:
    new = changed(tmp_path, how)
    report = judged(drift, transforms, new)
    far = int(report.outside[modality].sum())
    assert far > 30
    assert (
        "",
        f"{far} of 100 patients are outside what 99% of training patients look like in modality {modality}: "
        "other units, another laboratory?",
    ) in report.notes
    for other in set(report.share) - {modality}:
        assert report.outside[other].sum() <= 5


@pytest.mark.parametrize("value", [1e6, 1e30])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_one_absurd_tile_is_flagged(
    drift: Drift,
    transforms: Transforms,
    tmp_path: Path,
    value: float,
) -> None:
    def absurd(files: CohortFiles) -> None:
        files.bags["200_199"][0, 0] = value
        files.set("201", "age", 9000)

    report = judged(drift, transforms, changed(tmp_path, absurd))
    row = report.patients.index("200")
    assert report.outside["slides"][row]
    assert report.share["slides"][row] == 0
    assert "slides" in report.marks[row]
    assert (
        "200",
        "slides: drift: 0 of 150 training patients are as far from what is usual",
    ) in report.notes
    row = report.patients.index(
        "201",
    )  # the transform limits the value, and so tells of it
    assert "clinical" in report.marks[row]
    assert report.share["clinical"][row] == 0


def test_a_value_that_is_not_finite_is_infinitely_far() -> None:
    frame = Frame.fit(np.random.default_rng(0).normal(size=(50, 3)), np.ones(3), 3)
    assert (
        frame.distance(
            np.array([[np.inf, 0, 0], [np.nan, 0, 0], [1e200, 0, 0]]),
        ).tolist()
        == [np.inf] * 3
    )


def test_who_lacks_a_modality_is_not_judged_in_it(
    drift: Drift,
    transforms: Transforms,
    tmp_path: Path,
) -> None:
    def gaps(files: CohortFiles) -> None:
        assert files.expression is not None
        files.expression = files.expression.drop(index="200")

    new = changed(tmp_path, gaps)
    report = judged(drift, transforms, new)
    row = report.patients.index("200")
    assert np.isnan(report.share["expression"][row])
    assert not report.outside["expression"][row]
    assert np.isfinite(report.share["slides"][row])


def test_too_few_training_patients_tell_nothing(
    cohort: Cohort,
    transforms: Transforms,
) -> None:
    few = Drift.fit(BatchSource(cohort, transforms, cohort.patients[:9]))
    assert dict(few.usual) == {}
    report = few.judge(BatchSource(cohort, transforms, cohort.patients[:4]))
    assert all(np.isnan(share).all() for share in report.share.values())
    assert report.marks == [""] * 4
    assert report.notes == ()


def test_a_modality_that_never_varies_is_judged_all_the_same() -> None:
    usual = Usual.fit(np.full((40, 3), 5.0), np.ones(3))
    assert not usual.outside(
        usual.share(np.full((1, 3), np.float64(np.float32(5.0000002)))),
    ).any()
    assert usual.outside(usual.share(np.full((1, 3), 6.0))).all()


def test_many_training_patients_are_thinned_evenly() -> None:
    x = np.arange(3000.0)[:, None]
    assert len(Usual.fit(x, np.ones(1)).distances) == 500


def test_what_is_saved_is_what_was_learned(
    drift: Drift,
    transforms: Transforms,
    cohort: Cohort,
) -> None:
    about, arrays = drift.state()
    back = Drift.from_state(
        json.loads(json.dumps(about, allow_nan=False)),
        load(save(dict(arrays))),
    )
    first, second = judged(drift, transforms, cohort), judged(back, transforms, cohort)
    for name in first.share:
        np.testing.assert_allclose(first.share[name], second.share[name], atol=0.01)
        np.testing.assert_array_equal(first.outside[name], second.outside[name])


# -- who was trained on


def test_hashes_tell_who_was_trained_on_and_name_nobody() -> None:
    trained = PatientHashes.of(["001", "002"], "salt")
    assert trained.known(["003", "002"]) == ("002",)
    text = json.dumps(trained.to_dict())
    assert "001" not in json.loads(text)["sha256"]
    assert all(len(one) == 64 for one in trained.hashes)
    assert PatientHashes.from_dict(json.loads(text)) == trained
    assert not trained.hashes & PatientHashes.of(["001", "002"], "pepper").hashes
    trained.refuse(["003"], "there")
    with pytest.raises(
        LeakageError,
        match=r"^there: 2 patient\(s\) were trained on: 002, 001; calibrate on",
    ):
        trained.refuse(["002", "003", "001"], "there")


# -- training patients whose data were written again


def rounded(cohort: Cohort) -> Cohort:
    """The same patients, their genes rounded to two decimals."""
    data = cohort.modalities["expression"]
    assert isinstance(data, ExpressionData)
    values = np.round(np.asarray(data.expression.values, dtype=np.float64), 2)
    expression = replace(data.expression, values=values)
    changed = replace(data, expression=expression)
    return replace(cohort, modalities={**cohort.modalities, "expression": changed})


def test_training_patients_written_again_are_not_of_another_laboratory(
    tmp_path: Path,
) -> None:
    tmp_path.joinpath("c").mkdir()
    files = cohort_files(
        tmp_path / "c",
        patients=24,
        genes=400,
        modalities=("clinical", "expression"),
    )
    cohort = load_cohort(files.write())
    transforms = Transforms.fit(cohort, cohort.patients, FitConfig())
    drift = Drift.fit(BatchSource(cohort, transforms, cohort.patients))
    source = BatchSource(rounded(cohort), transforms, cohort.patients)
    as_strangers = drift.judge(source)
    assert as_strangers.outside["expression"].sum() > 5, "what was said of them once"
    everyone = np.ones(24, dtype=bool)
    again = drift.judge(source, trained=everyone)
    assert again.outside["expression"].sum() == 0
    assert again.notes == ()
    half = np.arange(24) < 12
    mixed = drift.judge(source, trained=half).share["expression"]
    assert mixed[:12].tolist() == again.share["expression"][:12].tolist()
    assert mixed[12:].tolist() == as_strangers.share["expression"][12:].tolist()


def test_an_older_bundle_does_not_judge_training_patients(
    drift: Drift,
    transforms: Transforms,
    cohort: Cohort,
) -> None:
    about, arrays = drift.state()
    old = {name: array for name, array in arrays.items() if not name.endswith("/own")}
    assert len(old) < len(arrays)
    source = BatchSource(cohort, transforms, cohort.patients[:TRAINED])
    everyone = np.ones(TRAINED, dtype=bool)
    report = Drift.from_state(about, old).judge(source, trained=everyone)
    assert np.isnan(report.share["expression"]).all()
    assert report.notes == ()
    kept = Drift.from_state(about, arrays).judge(source, trained=everyone)
    assert np.isfinite(kept.share["expression"]).all()
