from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

import survfuse
from fuzz.mutations import mutate
from running import bits, loaded, quick, small
from survfuse._errors import BundleError, ConfigError, SurvfuseError, TransformError
from survfuse._storage import read_tensors, sha256_file, write_tensors
from survfuse.bundle import FORMAT, VERSION, load_fitted
from survfuse.cohort import Cohort
from survfuse.estimator import SurvivalFusion
from survfuse.explanations import explain

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "members": {"members": 2},
    "discrete": {"head": "discrete", "bins": 3},
    "km_rank": {"calibration": "km_rank"},
    "km": {"calibration": "km"},
    "breslow": {"calibration": "breslow"},
    "isotonic": {"calibration": "isotonic_oof"},
    "conformal": {"conformal": 0.7},
    "genes": {
        "expression_components": None,
        "expression_top": 5,
        "vector_hidden": (3,),
    },
    "linear": {"expression_encoder": "linear", "expression_width": 2},
    "pairwise": {"fusion": "pairwise_residual", "rank": 2, "clinical_hidden": (2,)},
    "tensor": {"fusion": "tensor", "tensor_width": 2},
    "modality dropout": {"modality_dropout": 0.3},
    "coattention": {"fusion": "coattention", "query_tokens": 2},
    "stack": {"fusion": "anchored"},
    "stack of genes": {
        "fusion": "anchored",
        "anchor_bags": "mean",
        "anchor_vectors": "sparse",
    },
    "ridge": {"fusion": "ridge_cox"},
    "sparse": {"fusion": "sparse_cox"},
    "late": {"fusion": "late_cox"},
    "Kaplan-Meier": {"fusion": "kaplan_meier", "calibration": "km"},
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    files = small(tmp_path_factory.mktemp("cohort"))
    assert files.expression is not None
    files.set("004", "age", "")
    files.expression = files.expression.drop(index="005")
    return loaded(files)


@pytest.fixture(scope="module")
def model(cohort: Cohort) -> SurvivalFusion:
    return quick().fit(cohort)


@pytest.fixture(scope="module")
def original(model: SurvivalFusion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model.save(tmp_path_factory.mktemp("saved") / "bundle")


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(original, tmp_path / "bundle"))


FILES = (
    "bundle.json",
    "calibration.json",
    "config.json",
    "drift.json",
    "drift.safetensors",
    "model.json",
    "model.safetensors",
    "patients.json",
    "reference.json",
    "reference.safetensors",
    "summary.json",
    "transforms.json",
    "transforms.safetensors",
)


@pytest.mark.slow
@pytest.mark.parametrize("fields", WAYS.values(), ids=WAYS)
def test_what_is_loaded_is_what_was_saved(
    cohort: Cohort,
    tmp_path: Path,
    fields: dict[str, Any],
) -> None:
    model = quick(**fields).fit(cohort)
    again = survfuse.load(model.save(tmp_path / "bundle"))
    assert again.fitted is not None
    assert model.fitted is not None
    assert bits(again) == bits(model)
    assert again.config == model.config
    first, second = model.predict(cohort), again.predict(cohort)
    np.testing.assert_array_equal(first.log_risk, second.log_risk)
    np.testing.assert_array_equal(first.predicted_time, second.predicted_time)
    np.testing.assert_array_equal(first.risk_group, second.risk_group)
    assert first.frame((300, 900)).equals(second.frame((300, 900)))
    assert first.frame((300, 900), details=True).equals(
        second.frame((300, 900), details=True),
    )
    assert first.notes == second.notes
    assert again.fitted.summary == model.fitted.summary


def test_a_bundle_can_be_read_without_us(original: Path) -> None:
    assert tuple(sorted(file.name for file in original.iterdir())) == FILES
    manifest = json.loads((original / "bundle.json").read_text())
    assert (
        (manifest["format"], manifest["version"])
        == (FORMAT, VERSION)
        == ("survfuse-bundle", 4)
    )
    assert sorted(manifest["sha256"]) == sorted(set(FILES) - {"bundle.json"})
    assert original.stat().st_mode & 0o777 == 0o755
    assert [
        file for file in original.parent.iterdir() if file.name.startswith(".")
    ] == []


@pytest.mark.parametrize("name", sorted(set(FILES) - {"bundle.json"}))
@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_one_flipped_bit_is_noticed(bundle: Path, name: str, where: float) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[round(where * (len(content) - 1))] ^= 1
    (bundle / name).write_bytes(content)
    expected = f"{bundle / name}: its bytes changed since the bundle was written; copy or train it again"
    with pytest.raises(BundleError, match=f"^{re.escape(expected)}$"):
        load_fitted(bundle)


def test_any_flipped_bit_of_the_list_itself_is_noticed(bundle: Path) -> None:
    path = bundle / "bundle.json"
    content = path.read_bytes()
    silent = []
    for place in range(len(content)):
        path.write_bytes(
            content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
        )
        try:
            load_fitted(bundle)
        except BundleError:
            continue
        silent.append((place, content[max(0, place - 12) : place + 4]))
    assert silent == []


@pytest.mark.parametrize("name", FILES)
def test_an_absent_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=re.escape(name)):
        load_fitted(bundle)


@pytest.mark.parametrize("name", sorted(set(FILES) - {"bundle.json"}))
def test_a_file_that_the_list_leaves_out_is_not_trusted(
    bundle: Path,
    name: str,
) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    del manifest["sha256"][name]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=re.escape(name)):
        load_fitted(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"version": 5},
            "bundle format version 5, this survfuse reads up to 4; update survfuse$",
        ),
        ({"version": "1"}, "bundle format version 1, this survfuse"),
        ({"version": 0}, "bundle format version 0, this survfuse"),
        ({"version": True}, "bundle format version True, this survfuse"),
        ({"version": None}, "bundle format version None, this survfuse"),
        ({"format": "other"}, "bundle.json does not say format 'survfuse-bundle'$"),
        ({"sha256": {}}, "bundle.json lists no files$"),
        ({"sha256": ["config.json"]}, "bundle.json lists no files$"),
        (
            {"sha256": {"../config.json": "0"}},
            r"bundle\.json lists '\.\./config\.json', which is no file of a bundle; copy or train",
        ),
    ],
)
def test_another_format_or_version_is_refused(
    bundle: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(BundleError, match=f"^{re.escape(str(bundle))}: {message}"):
        load_fitted(bundle)


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        BundleError,
        match=r"not a survfuse bundle \(.*bundle\.json: no such file\)",
    ):
        load_fitted(tmp_path)
    with pytest.raises(BundleError, match=r"not a survfuse bundle"):
        load_fitted(tmp_path / "nowhere")
    (tmp_path / "model.bin").write_bytes(b"weights")
    with pytest.raises(
        BundleError,
        match=r"model\.bin: not a survfuse bundle \(a file; expected the folder",
    ):
        load_fitted(tmp_path / "model.bin")
    (tmp_path / "bundle.json").write_text("[]")
    with pytest.raises(BundleError, match=r"does not say format 'survfuse-bundle'"):
        load_fitted(tmp_path)


def test_parts_that_do_not_belong_together_are_refused(
    cohort: Cohort,
    bundle: Path,
    tmp_path: Path,
) -> None:
    """Every hash is right, yet the weights are another network's."""
    other = quick(bag_width=5).fit(cohort).save(tmp_path / "other")
    shutil.copy(other / "model.safetensors", bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    listed = json.loads((other / "bundle.json").read_text())["sha256"]
    manifest["sha256"]["model.safetensors"] = listed["model.safetensors"]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    expected = (
        f"{bundle / 'model.json'}: weights do not fit each other: "
        "branches.slides.project.weight is (5, "
    )
    with pytest.raises(BundleError, match=f"^{re.escape(expected)}"):
        load_fitted(bundle)


def test_a_folder_that_is_something_else_is_never_replaced(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("thesis", "file"):
        expected = f"{tmp_path / name}: exists and is not a survfuse bundle; choose another folder"
        with pytest.raises(BundleError, match=f"^{re.escape(expected)}$"):
            model.save(tmp_path / name, force=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "thesis"]


def test_a_folder_with_some_other_bundle_json_is_never_replaced(
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    """A web project has a bundle.json too."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "bundle.json").write_text('{"entry": "main.js"}')
    (tmp_path / "web" / "main.js").write_text("years of work")
    with pytest.raises(
        BundleError,
        match=r"exists and is not a survfuse bundle; choose another folder$",
    ):
        model.save(tmp_path / "web", force=True)
    assert (tmp_path / "web" / "main.js").read_text() == "years of work"


def test_a_bundle_is_replaced_when_asked_to(
    cohort: Cohort,
    model: SurvivalFusion,
    bundle: Path,
) -> None:
    other = quick(seed=9).fit(cohort)
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    with pytest.raises(
        BundleError,
        match=r"a bundle is there already; choose another folder, or replace it",
    ):
        other.save(bundle)
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before
    assert other.save(bundle, force=True) == bundle
    assert bits(survfuse.load(bundle)) == bits(other) != bits(model)
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]


def test_a_save_that_fails_leaves_the_old_bundle(
    model: SurvivalFusion,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("survfuse.bundle.write_tensors", full)
    with pytest.raises(OSError, match=r"no space left"):
        model.save(bundle, force=True)
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]
    assert bits(survfuse.load(bundle)) == bits(model)


def test_an_unfitted_model_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(SurvfuseError, match=r"not fitted yet"):
        quick().save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


# -- who was trained on, and bundles of older versions


ARCHIVES = Path(__file__).parent / "archives"


def test_no_id_of_a_patient_stands_in_a_bundle(tmp_path: Path) -> None:
    files = small(tmp_path / "cohort")
    names = {f"{number:03d}": f"Meier-{number:03d}" for number in range(1, 25)}
    files.patients["patient_id"] = files.patients["patient_id"].map(names)
    assert files.expression is not None
    assert files.slides is not None
    files.expression = files.expression.rename(index=names)
    files.slides["patient_id"] = files.slides["patient_id"].map(names)
    saved = quick().fit(loaded(files)).save(tmp_path / "bundle")
    for file in saved.iterdir():
        assert b"Meier" not in file.read_bytes(), file.name
    fitted = load_fitted(saved)
    assert fitted.trained is not None
    assert fitted.trained.known(["Meier-025", "Meier-024"]) == ("Meier-024",)


def test_a_bundle_of_version_1_predicts_as_it_did(tmp_path: Path) -> None:
    """Written by the last survfuse that wrote version 1, on the same cohort."""
    cohort = loaded(small(tmp_path / "cohort"))
    model = survfuse.load(ARCHIVES / "bundle-1")
    assert (
        "modality_dropout" not in (ARCHIVES / "bundle-1" / "network.json").read_text()
    )
    assert model.config.network.modality_dropout == 0
    prediction = model.predict(cohort)
    before = pd.read_csv(
        ARCHIVES / "bundle-1-predictions.csv",
        dtype={"patient_id": str},
    )
    now = prediction.frame((400, 900))
    assert list(now) == list(before)
    np.testing.assert_allclose(now["log_risk"], before["log_risk"], atol=1e-5)
    np.testing.assert_allclose(now["survival_900"], before["survival_900"], atol=1e-5)
    assert prediction.drift is None
    assert "drift" not in prediction.frame((400,), details=True)
    with pytest.raises(
        BundleError,
        match=r"^this bundle was written before survfuse kept who was trained on",
    ):
        model.recalibrate(cohort)
    again = survfuse.load(model.save(tmp_path / "again"))
    assert bits(again) == bits(model)
    assert again.fitted is not None
    assert again.fitted.trained is None


def informative(root: Path) -> Cohort:
    """Make 60 patients whose risk depends on age, on a gene and on their tiles; some inputs are missing."""
    files = small(root, 60)
    generator = np.random.default_rng(11)
    assert files.expression is not None
    assert files.slides is not None
    age = (files.patients["age"].to_numpy() - 62) / 12
    gene = files.expression["GENE1"].to_numpy() - 6
    files.expression[["GENE2", "GENE3"]] += 2 * gene[:, None]
    tile = generator.normal(size=60)
    for slide, bag in files.bags.items():
        patient = int(slide.split("_")[0]) - 1
        bag[:, 0] += 4 * tile[patient]
        bag[0, 1:] += 8
        bag[0, 0] += 8 * tile[patient]
    risk = 1.5 * age + 2 * gene + 2.5 * tile + gene * tile
    spread = generator.exponential(size=60) ** 0.2
    files.patients["os_days"] = np.round(1500 * np.exp(-risk) * spread + 20).astype(int)
    files.patients["os_event"] = (np.arange(60) % 4 > 0).astype(int)
    for patient in ("004", "014", "033"):
        files.set(patient, "age", "")
    files.expression = files.expression.drop(index=["005", "021"])
    without = files.slides["patient_id"].isin(["007", "030"])
    files.slides = files.slides[~without]
    files.bags = {slide: files.bags[slide] for slide in files.slides["slide_id"]}
    return loaded(files)


@pytest.mark.parametrize("name", ["2-concat", "2-anchored", "2-attention", "3-stack"])
def test_a_bundle_of_version_2_or_3_predicts_as_it_did(
    tmp_path: Path, name: str
) -> None:
    """Written by the last survfuse that wrote this version.

    `attention` is `anchored` with a trained bag, `stack` the same with a network as a term.
    """
    cohort = informative(tmp_path / "cohort")
    model = survfuse.load(ARCHIVES / f"bundle-{name}")
    before = pd.read_csv(
        ARCHIVES / f"bundle-{name}-predictions.csv",
        dtype={"patient_id": str},
    )
    now = model.predict(cohort).frame((400, 900))
    assert list(now) == list(before)
    assert before["log_risk"].std() > 0.1
    for column in now.columns.drop("patient_id"):
        np.testing.assert_allclose(now[column], before[column], rtol=0, atol=1e-6)
    again = survfuse.load(model.save(tmp_path / "again"))
    assert bits(again) == bits(model)
    np.testing.assert_array_equal(
        again.predict(cohort).log_risk,
        model.predict(cohort).log_risk,
    )


def test_a_recalibrated_bundle_says_on_whom(
    cohort: Cohort,
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    half = quick(conformal=0.7).fit(cohort, cohort.patients[:14])
    other = half.recalibrate(cohort, cohort.patients[14:])
    again = survfuse.load(other.save(tmp_path / "bundle"))
    assert again.fitted is not None
    assert other.fitted is not None
    assert again.fitted.calibrator.name == "breslow_cal"
    assert again.fitted.calibrator.to_dict() == other.fitted.calibrator.to_dict()
    about = again.fitted.summary["calibration_cohort"]
    assert (about["cohort"], about["patients"], about["events"]) == ("tiny", 10, 5)
    assert about["cohort_fingerprint"] == cohort.fingerprint()
    assert again.fitted.bound is not None
    assert again.fitted.bound.patients == 10
    assert (
        again.predict(cohort)
        .frame((300,), details=True)
        .equals(other.predict(cohort).frame((300,), details=True))
    )


def test_a_bundle_reads_counts_of_any_depth_and_genes_of_any_release(
    tmp_path: Path,
) -> None:
    files = small(tmp_path / "cohort")
    assert files.expression is not None
    files.spec["expression"] |= {"unit": "counts", "genes": "ensembl"}
    counts = (2**files.expression).round().astype(int)
    counts.columns = pd.Index(
        [f"ENSG{number:011d}.3" for number in range(counts.shape[1])],
    )
    files.expression = counts
    model = survfuse.load(quick().fit(loaded(files)).save(tmp_path / "bundle"))
    before = model.predict(loaded(files)).log_risk
    assert before.std() > 0
    files.expression = counts.mul(np.arange(1, len(counts) + 1), axis=0)
    files.expression.columns = counts.columns.str.replace(".3", ".17")
    files.expression["N_unmapped"] = 10**7
    np.testing.assert_allclose(model.predict(loaded(files)).log_risk, before, atol=1e-5)


# -- bundles that lie, with hashes that are right


def rehashed(bundle: Path) -> Path:
    """Write the list anew, as a liar would."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["sha256"] = {
        name: sha256_file(bundle / name) for name in manifest["sha256"]
    }
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    return bundle


def changed(bundle: Path, name: str, place: tuple[Any, ...], value: Any) -> Path:
    """Put a value somewhere into one JSON file of a bundle."""
    state = json.loads((bundle / name).read_text())
    node = state
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (bundle / name).write_text(json.dumps(state))
    return rehashed(bundle)


def test_two_trainings_give_the_same_bytes(
    cohort: Cohort,
    original: Path,
    tmp_path: Path,
) -> None:
    again = quick().fit(cohort).save(tmp_path / "again")
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in original.iterdir()
    }


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        (
            "model.json",
            ("model", "modalities", 2, "input_dim"),
            10**9,
            r"model\.json: the network reads .*10{9}",
        ),
        (
            "model.json",
            ("model", "modalities", 2, "width"),
            10**9,
            r"model\.json: weights do not fit",
        ),
        (
            "model.json",
            ("model", "modalities", 2, "width"),
            10**18,
            r"model\.json: expected what",
        ),
        (
            "model.json",
            ("model", "modalities", 0, "hidden"),
            [4] * 5,
            r"weights are not of this network: missing",
        ),
        (
            "model.json",
            ("model", "modalities", 0, "hidden"),
            [4] * 101,
            r"at most 100 layers, got 101",
        ),
        (
            "model.json",
            ("model", "modalities", 0, "name"),
            5,
            r"model\.json: modality name 5 cannot name",
        ),
        (
            "model.json",
            (
                "model",
                "modalities",
            ),
            [],
            r"model\.json: a network needs at least one modality",
        ),
        (
            "model.json",
            (
                "model",
                "head",
            ),
            "discrete",
            r"head\.linear\.weight is \(1, \d+\), expected \(8,",
        ),
        (
            "config.json",
            ("members",),
            10**9,
            r"weights of 1 networks, expected 10{9} members",
        ),
        (
            "calibration.json",
            ("calibrator", "baseline", "y"),
            [],
            r"calibration\.json: the saved calibrator",
        ),
        (
            "calibration.json",
            ("calibrator", "baseline", "y", 0),
            9,
            r"a cumulative hazard that rises from 0",
        ),
        (
            "calibration.json",
            ("calibrator", "slope"),
            "nan",
            r"slope: expected a number, got str",
        ),
        (
            "calibration.json",
            ("risk_cuts",),
            [1, 0],
            r"risk_cuts: expected risks in increasing order",
        ),
        (
            "patients.json",
            ("sha256", 0),
            5,
            r"patients\.json: sha256: expected a list of texts",
        ),
        (
            "patients.json",
            ("salt",),
            "\ud800",
            r"patients\.json: expected what survfuse writes there",
        ),
        (
            "summary.json",
            ("unit",),
            "weeks",
            r"summary\.json: expected a unit of days, months, years",
        ),
        (
            "summary.json",
            ("longest_time",),
            None,
            r"summary\.json: expected a unit of .* a longest_time > 0",
        ),
        (
            "drift.json",
            ("modalities", 0, "rest"),
            "nan",
            r"increasing distances, and a number for the rest",
        ),
        (
            "transforms.json",
            ("modalities", 0, "state", "columns", 0, "sd"),
            0,
            r"age: expected sd > 0",
        ),
        (
            "transforms.json",
            ("modalities", 1, "state", "genes"),
            ["A"],
            r"array 'mean': expected 1 floats",
        ),
        (
            "transforms.json",
            ("modalities", 2, "state", "dim"),
            10**9,
            r"array 'mean': expected 10{9} floats",
        ),
    ],
)
def test_a_size_that_no_file_holds_is_refused_before_memory_is_taken(
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    place: tuple[Any, ...],
    value: Any,
    message: str,
) -> None:
    def never(*_: Any, **__: Any) -> None:
        pytest.fail("took memory first")

    monkeypatch.setattr("survfuse.models.network.FusionNetwork.to_empty", never)
    with pytest.raises(BundleError, match=message):
        load_fitted(changed(bundle, name, place, value))


def test_weights_of_another_type_or_not_finite_are_refused(bundle: Path) -> None:
    path = bundle / "model.safetensors"
    weights, header = read_tensors(path)
    write_tensors(
        path,
        {name: array.astype(np.float64) for name, array in weights.items()},
        header,
    )
    with pytest.raises(BundleError, match=r"is \(.*\) float64, expected"):
        load_fitted(rehashed(bundle))
    broken = dict(weights) | {"0/head.linear.bias": np.array([np.nan], np.float32)}
    write_tensors(path, broken, header)
    with pytest.raises(
        BundleError,
        match=r"head\.linear\.bias holds NaN or infinite weights",
    ):
        load_fitted(rehashed(bundle))


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "a\0b", "notes.txt", "network-x.safetensors"],
)
def test_a_list_may_name_the_files_of_a_bundle_only(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["sha256"][name] = "0"
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(
        BundleError,
        match=r"bundle\.json lists .*, which is no file of a bundle",
    ):
        load_fitted(bundle)


@pytest.mark.parametrize(
    "name",
    ["bundle.json", "summary.json", "model.safetensors"],
)
def test_what_never_ends_is_not_opened(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(BundleError, match=r"expected a file, got a pipe"):
        load_fitted(bundle)
    (bundle / name).unlink()
    (bundle / name).symlink_to("/dev/zero")
    with pytest.raises(BundleError, match=r"expected a file, got a device"):
        load_fitted(bundle)


def test_links_to_files_are_read(
    bundle: Path,
    model: SurvivalFusion,
    tmp_path: Path,
) -> None:
    """Caches of models keep the bytes elsewhere and links in the folder."""
    for file in list(bundle.iterdir()):
        file.rename(tmp_path / file.name)
        file.symlink_to(tmp_path / file.name)
    assert bits(survfuse.load(bundle)) == bits(model)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in what JSON holds, of long lists the first three."""
    inside = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node[:3] if isinstance(node, list) else [])
    )
    found = [at] if at else []
    for key, value in inside:
        found += places(value, (*at, key))
    return found


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "\ud800",
    [],
    {},
    [None],
    [[1.0]],
    {"a": 1},
)


@pytest.mark.parametrize("name", ["reference.json", "reference.safetensors"])
def test_a_broken_reference_is_refused_or_explains(
    cohort: Cohort,
    bundle: Path,
    name: str,
) -> None:
    """Whatever a disk, a careless program or a liar does to it."""
    whole, random, refused = (bundle / name).read_bytes(), Random(0), 0
    for _ in range(60):
        (bundle / name).write_bytes(mutate(name, whole, random))
        try:
            explain(survfuse.load(rehashed(bundle)), cohort, cohort.patients[:2])
        except BundleError:
            refused += 1
        except ConfigError:  # it says that there is no reference
            pass
    assert refused > 20


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("reference", "patients"), 10**9 + 0.5, r"a whole number from \d+ on"),
        (("reference", "patients"), "24", r"patients: expected a finite number"),
        (
            ("reference", "modalities"),
            ["clinical"],
            r"modalities: expected .*, got clin",
        ),
        (
            ("reference", "modalities"),
            {},
            r"reference\.json: modalities: expected a list",
        ),
        (("reference",), [], r"reference\.json: expected what survfuse writes there"),
        (("clusters",), ["lymph"], r"clusters: 'lymph' is no bag"),
        (("agreement",), 5, r"agreement: expected a mapping with a list of rows"),
    ],
)
def test_a_reference_that_does_not_fit_the_model_is_refused(
    bundle: Path,
    place: tuple[Any, ...],
    value: Any,
    message: str,
) -> None:
    with pytest.raises(BundleError, match=message):
        load_fitted(changed(bundle, "reference.json", place, value))


def test_a_loaded_model_explains_as_the_one_that_was_saved(
    cohort: Cohort,
    model: SurvivalFusion,
    original: Path,
) -> None:
    first, second = explain(model, cohort), explain(survfuse.load(original), cohort)
    pd.testing.assert_frame_equal(first.terms, second.terms, check_exact=True)
    assert first.largest_difference < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "calibration.json",
        "drift.json",
        "model.json",
        "patients.json",
        "transforms.json",
    ],
)
def test_whatever_stands_in_a_file_the_bundle_predicts_or_says_what_is_wrong(
    cohort: Cohort,
    bundle: Path,
    name: str,
) -> None:
    whole = (bundle / name).read_text()
    refused = 0
    for turn, place in enumerate(places(json.loads(whole))):
        for value in ODD[turn % 4 :: 4]:
            (bundle / name).write_text(whole)
            try:
                survfuse.load(changed(bundle, name, place, value)).predict(
                    cohort,
                ).frame((300,), details=True)
            except BundleError:
                refused += 1
            except TransformError:  # it loads, and gives no finite risk
                pass
    assert refused > 20
