"""Cohorts with painted slides: files, tables, what was planted, and that the planted factors can be seen."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import pytest
import tifffile
import yaml

from survfuse._errors import ConfigError, InputError, MissingExtraError
from survfuse._storage import read_json
from survfuse.datasets import simulate
from survfuse.datasets.rendered_slides import read_classes

TINY = {"patients": 8, "genes": 20, "images": True, "slide_px": 512}


def _bytes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("slides") / "cohort"
    simulate(
        out,
        **TINY,
        slides=3,
        sites=2,
        hold_out=4,
        defects=True,
        signal="additive",
        seed=4,
    )
    return out


def _table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "slides.csv", dtype=str, keep_default_na=False)


def test_tables_files_and_masks_belong_together(tiny: Path) -> None:
    for folder in (tiny, tiny / "new"):
        table = _table(folder)
        assert list(table.columns) == ["slide_id", "patient_id", "path", "mpp"]
        for kind, ending in (
            ("slides", "tif"),
            ("masks", "tif"),
            ("truth_tissue", "png"),
        ):
            found = sorted(path.name for path in (folder / kind).iterdir())
            assert found == sorted(f"{slide}.{ending}" for slide in table["slide_id"])
        assert (table["path"] == table["slide_id"] + ".tif").all()
        assert (table["slide_id"].str.partition("_")[0] == table["patient_id"]).all()
    assert _table(tiny)["patient_id"].nunique() == 8
    assert len(_table(tiny)) > 8
    assert not (tiny / "slides.bags").exists()


def test_the_cohort_file_says_where_pixels_are(tiny: Path) -> None:
    for folder in (tiny, tiny / "new"):
        assert yaml.safe_load((folder / "cohort.yaml").read_text())["slides"] == {
            "table": "slides.csv",
            "images": "slides/",
            "masks": "masks/",
            "features": "features/",
            "encoder": "stain_texture",
        }


def test_what_was_planted_is_written_down_and_true(tiny: Path) -> None:
    written = read_json(tiny / "simulation.json")
    planted = written["planted"]
    tables = pd.concat([_table(tiny), _table(tiny / "new")]).set_index("slide_id")
    assert set(planted) == set(tables.index)
    assert {about["mpp"] for about in planted.values()} == {0.5, 0.25}
    for slide_id, about in planted.items():
        folder = tiny if about["patient_id"].startswith("P") else tiny / "new"
        with openslide.OpenSlide(folder / "slides" / f"{slide_id}.tif") as slide:
            assert slide.dimensions == (about["width"], about["height"])
            said = slide.properties.get("openslide.mpp-x")
        if about["defect"] == "no_mpp":
            assert said is None
            assert tables.loc[slide_id, "mpp"] == ""
        else:
            assert float(said) == pytest.approx(about["mpp"])
            assert float(tables.loc[slide_id, "mpp"]) == about["mpp"]
        classes = read_classes(folder / "truth_tissue" / f"{slide_id}.png")
        mask = tifffile.imread(folder / "masks" / f"{slide_id}.tif")
        glass = written["tissue_classes"].index("background")
        np.testing.assert_array_equal(mask > 0, classes != glass)
        assert mask.shape[1] * 4 == about["width"] * about["mpp"]  # 4 µm a cell
        assert (classes[mask > 0] == 0).mean() == pytest.approx(
            about["tumour_share"],
            abs=1e-3,
        )


def test_two_defects_only_when_asked_and_never_among_new_patients(
    tiny: Path,
    tmp_path: Path,
) -> None:
    planted = read_json(tiny / "simulation.json")["planted"]
    defects = {
        about["defect"]: slide for slide, about in planted.items() if about["defect"]
    }
    assert set(defects) == {"no_mpp", "damaged"}
    assert all(slide.startswith("P") for slide in defects.values())
    about = planted[defects["damaged"]]
    with (
        openslide.OpenSlide(tiny / "slides" / f"{defects['damaged']}.tif") as slide,
        pytest.raises(openslide.OpenSlideError, match="JPEG"),
    ):
        slide.read_region((0, 0), 0, (about["width"], about["height"]))
    simulate(
        tmp_path / "whole",
        **TINY,
        slides=3,
        sites=2,
        hold_out=4,
        defects=False,
        signal="additive",
        seed=4,
    )
    whole, broken = _bytes(tmp_path / "whole"), _bytes(tiny)
    assert {name for name in whole if whole[name] != broken[name]} == {
        "simulation.json",
        "slides.csv",
        *(f"slides/{slide}.tif" for slide in defects.values()),
    }


def test_the_signal_touches_no_pixel_and_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, signal in (
        ("none", "none"),
        ("additive", "additive"),
        ("again", "additive"),
        ("composition", "composition"),
    ):
        simulate(tmp_path / name, **TINY, signal=signal, strength=2.0)
    none, additive, again, composition = (
        _bytes(tmp_path / name) for name in ("none", "additive", "again", "composition")
    )
    assert again == additive
    for other in (additive, composition):
        differ = {name for name in none if none[name] != other[name]}
        assert differ == {"cohort.yaml", "patients.csv", "truth.csv", "simulation.json"}


def test_pixels_change_nothing_else(tmp_path: Path) -> None:
    options = {"patients": 8, "genes": 20, "signal": "additive"}
    simulate(tmp_path / "bags", **options, tiles=4, tile_dim=2)
    simulate(tmp_path / "pixels", **options, images=True, slide_px=256)
    bags, pixels = _bytes(tmp_path / "bags"), _bytes(tmp_path / "pixels")
    shared = ("patients.csv", "clinical.csv", "expression.parquet", "truth.csv")
    assert all(bags[name] == pixels[name] for name in shared)


def test_held_out_patients_and_missing_slides(tmp_path: Path) -> None:
    simulate(tmp_path / "with", **TINY, hold_out=2)
    simulate(tmp_path / "without", **TINY)
    both, without = _bytes(tmp_path / "with"), _bytes(tmp_path / "without")
    assert {name for name in without if without[name] != both[name]} == {
        "simulation.json",
    }
    simulate(tmp_path / "few", **TINY, missing={"slides": 0.5})
    few = _bytes(tmp_path / "few")
    images = {name for name in few if name.startswith("slides/")}
    assert 0 < len(images) < 8
    assert all(
        few[name] == without[name] for name in images
    )  # whoever has a slide has the same one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slide_px": 100}, "slide_px: at least 256, got 100"),
        ({"slide_px": 20000}, r"slide_px: at most 16384 \(.*\), got 20000"),
        ({"images": False, "defects": True}, "defects: belong to slides with pixels"),
    ],
)
def test_refusals_leave_nothing_behind(
    tmp_path: Path,
    options: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        simulate(tmp_path / "c", **{**TINY, **options})
    assert not list(tmp_path.iterdir())


def test_nobody_with_a_slide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no patient has a slide"):
        simulate(tmp_path / "c", **TINY, missing={"slides": 0.999})
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "slide_folder",
        "slide_orders",
        "slide_painting",
        "slide_light",
        "slide_layout",
    ):
        monkeypatch.delitem(sys.modules, f"survfuse.datasets.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        MissingExtraError,
        match=r"cv2: pip install 'survfuse\[slides\]'",
    ):
        simulate(tmp_path / "c", **TINY)
    assert not list(tmp_path.iterdir())


def test_bags_need_no_extra() -> None:
    words = "import sys, survfuse.datasets; print([m for m in ('cv2', 'tifffile') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def _tile_statistics(
    folder: Path,
    slide_id: str,
    mpp: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Nuclear area and darkness of each 64-µm tile with tissue at 0.5 µm/px, and its class."""
    with openslide.OpenSlide(folder / "slides" / f"{slide_id}.tif") as slide:
        level = 0 if mpp == 0.5 else 1
        size = slide.level_dimensions[level]
        image = np.asarray(slide.read_region((0, 0), level, size).convert("RGB"))
    classes = read_classes(folder / "truth_tissue" / f"{slide_id}.png")
    density = -np.log(np.maximum(image, 1) / 255.0)
    haematoxylin = 1.5 * density[..., 0] - 0.1 * density[..., 1]
    rows = []
    for y in range(0, image.shape[0] - 127, 128):
        for x in range(0, image.shape[1] - 127, 128):
            kind = np.bincount(
                classes[y // 8 : y // 8 + 16, x // 8 : x // 8 + 16].ravel(),
                minlength=6,
            )
            if kind[5] < 128:
                tile = haematoxylin[y : y + 128, x : x + 128]
                inside = tile[tile > 0.6]
                rows.append(
                    (
                        int(kind.argmax()),
                        (tile > 0.6).mean(),
                        inside.mean() if len(inside) else 0.6,
                    ),
                )
    found = np.array(rows)
    return found[:, 1:], found[:, 0]


@pytest.mark.slow
def test_tumour_tiles_show_the_factors_and_all_tiles_blur_them(tmp_path: Path) -> None:
    simulate(tmp_path / "c", patients=40, genes=20, images=True, slide_px=1024, seed=2)
    truth = pd.read_csv(tmp_path / "c" / "truth.csv")
    table = _table(tmp_path / "c")
    tumour, everything = [], []
    for slide_id, mpp in zip(
        table["slide_id"],
        table["mpp"].astype(float),
        strict=True,
    ):
        values, kinds = _tile_statistics(tmp_path / "c", slide_id, mpp)
        tumour.append(values[kinds == 0].mean(axis=0))
        everything.append(values.mean(axis=0))
    for column, factor in ((0, "slide_factor_1"), (1, "slide_factor_2")):
        in_tumour, overall = (
            np.corrcoef(np.array(means)[:, column], truth[factor])[0, 1]
            for means in (tumour, everything)
        )
        assert in_tumour > 0.85, factor
        assert overall < in_tumour - 0.07, factor
    # The magnification is no hint at anything.
    assert (
        abs(
            np.corrcoef(
                table["mpp"].astype(float),
                truth["log_risk"] + truth["slide_factor_1"],
            )[0, 1],
        )
        < 0.4
    )
