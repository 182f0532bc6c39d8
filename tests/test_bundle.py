from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import survfuse
from running import bits, loaded, quick, small
from survfuse._errors import BundleError, SurvfuseError
from survfuse.bundle import FORMAT, VERSION, load_fitted
from survfuse.cohort import Cohort
from survfuse.estimator import SurvivalFusion

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "members": {"members": 2},
    "discrete": {"head": "discrete", "bins": 3},
    "km_rank": {"calibration": "km_rank"},
    "km": {"calibration": "km"},
    "breslow": {"calibration": "breslow"},
    "genes": {"expression_components": None, "expression_top": 5, "vector_hidden": (3,)},
    "pairwise": {"fusion": "pairwise_residual", "rank": 2, "clinical_hidden": (2,)},
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
    "network-0.safetensors",
    "network.json",
    "summary.json",
    "transforms.json",
    "transforms.safetensors",
)


@pytest.mark.parametrize("fields", WAYS.values(), ids=WAYS)
def test_what_is_loaded_is_what_was_saved(cohort: Cohort, tmp_path: Path, fields: dict[str, Any]) -> None:
    model = quick(**fields).fit(cohort)
    again = survfuse.load(model.save(tmp_path / "bundle"))
    assert bits(again) == bits(model)
    assert again.config == model.config
    first, second = model.predict(cohort), again.predict(cohort)
    np.testing.assert_array_equal(first.log_risk, second.log_risk)
    np.testing.assert_array_equal(first.predicted_time, second.predicted_time)
    np.testing.assert_array_equal(first.risk_group, second.risk_group)
    assert first.frame((300, 900)).equals(second.frame((300, 900)))
    assert first.notes == second.notes
    assert again.fitted is not None
    assert model.fitted is not None
    assert again.fitted.summary == model.fitted.summary


def test_a_bundle_can_be_read_without_us(original: Path) -> None:
    assert tuple(sorted(file.name for file in original.iterdir())) == FILES
    manifest = json.loads((original / "bundle.json").read_text())
    assert (manifest["format"], manifest["version"]) == (FORMAT, VERSION) == ("survfuse-bundle", 1)
    assert sorted(manifest["sha256"]) == sorted(set(FILES) - {"bundle.json"})
    assert original.stat().st_mode & 0o777 == 0o755
    assert [file for file in original.parent.iterdir() if file.name.startswith(".")] == []


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
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
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
def test_a_file_that_the_list_leaves_out_is_not_trusted(bundle: Path, name: str) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    del manifest["sha256"][name]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=re.escape(name)):
        load_fitted(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "bundle format version 2, this survfuse reads up to 1; update survfuse$"),
        ({"version": "1"}, "bundle format version 1, this survfuse"),
        ({"version": 0}, "bundle format version 0, this survfuse"),
        ({"version": True}, "bundle format version True, this survfuse"),
        ({"version": None}, "bundle format version None, this survfuse"),
        ({"format": "other"}, "bundle.json does not say format 'survfuse-bundle'$"),
        ({"sha256": {}}, "bundle.json lists no files$"),
        ({"sha256": ["config.json"]}, "bundle.json lists no files$"),
        (
            {"sha256": {"../config.json": "0"}},
            r"\.\./config\.json is listed in bundle\.json but is not there$",
        ),
    ],
)
def test_another_format_or_version_is_refused(bundle: Path, change: dict[str, Any], message: str) -> None:
    manifest = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**manifest, **change}))
    with pytest.raises(BundleError, match=f"^{re.escape(str(bundle))}: {message}"):
        load_fitted(bundle)


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"not a survfuse bundle \(.*bundle\.json: no such file\)"):
        load_fitted(tmp_path)
    with pytest.raises(BundleError, match=r"not a survfuse bundle"):
        load_fitted(tmp_path / "nowhere")
    (tmp_path / "model.bin").write_bytes(b"weights")
    with pytest.raises(BundleError, match=r"model\.bin: not a survfuse bundle \(a file; expected the folder"):
        load_fitted(tmp_path / "model.bin")
    (tmp_path / "bundle.json").write_text("[]")
    with pytest.raises(BundleError, match=r"does not say format 'survfuse-bundle'"):
        load_fitted(tmp_path)


def test_parts_that_do_not_belong_together_are_refused(cohort: Cohort, bundle: Path, tmp_path: Path) -> None:
    """Every hash is right, yet the weights are another network's."""
    other = quick(bag_width=5).fit(cohort).save(tmp_path / "other")
    shutil.copy(other / "network-0.safetensors", bundle)
    manifest = json.loads((bundle / "bundle.json").read_text())
    listed = json.loads((other / "bundle.json").read_text())["sha256"]
    manifest["sha256"]["network-0.safetensors"] = listed["network-0.safetensors"]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(
        BundleError, match=f"(?s)^{re.escape(str(bundle))}: does not hold together: .*size mismatch"
    ):
        load_fitted(bundle)


def test_a_folder_that_is_something_else_is_never_replaced(model: SurvivalFusion, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for name in ("thesis", "file"):
        expected = f"{tmp_path / name}: exists and is not a survfuse bundle; choose another folder"
        with pytest.raises(BundleError, match=f"^{re.escape(expected)}$"):
            model.save(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "thesis"]


def test_a_folder_with_some_other_bundle_json_is_never_replaced(
    model: SurvivalFusion, tmp_path: Path
) -> None:
    """A web project has a bundle.json too."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "bundle.json").write_text('{"entry": "main.js"}')
    (tmp_path / "web" / "main.js").write_text("years of work")
    with pytest.raises(BundleError, match=r"exists and is not a survfuse bundle; choose another folder$"):
        model.save(tmp_path / "web")
    assert (tmp_path / "web" / "main.js").read_text() == "years of work"


def test_a_bundle_of_ours_is_replaced(cohort: Cohort, model: SurvivalFusion, bundle: Path) -> None:
    other = quick(seed=9).fit(cohort)
    assert other.save(bundle) == bundle
    assert bits(survfuse.load(bundle)) == bits(other) != bits(model)
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]


def test_a_save_that_fails_leaves_the_old_bundle(
    model: SurvivalFusion, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("survfuse.bundle.write_tensors", full)
    with pytest.raises(OSError, match=r"no space left"):
        model.save(bundle)
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]
    assert bits(survfuse.load(bundle)) == bits(model)


def test_an_unfitted_model_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(SurvfuseError, match=r"not fitted yet"):
        quick().save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_replacement_that_fails_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old bundle is put aside, not deleted, until the new one stands."""
    from survfuse import bundle

    old, new = tmp_path / "bundle", tmp_path / "new"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "bundle.json").write_text(text)
    move = Path.replace

    def broken(self: Path, target: Path) -> Path:
        if self == new:
            raise OSError("disk gone")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="disk gone"):
        bundle._put_in_place(new, old)
    assert (old / "bundle.json").read_text() == "old"
    monkeypatch.undo()
    bundle._put_in_place(new, old)
    assert (old / "bundle.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
