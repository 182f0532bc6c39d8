from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from slide_files import MeanEncoder
from survfuse._storage import sha256_file
from survfuse.slides import ExtractConfig, SlideItem
from survfuse.slides.settings import (
    REVISION,
    content_key,
    hash_slide,
    inputs_key,
    settings_of,
    slide_files,
    stamp,
    versions,
)

SETTINGS = settings_of(ExtractConfig(), MeanEncoder())


def key(**other: Any) -> str:
    given = {
        "slide_sha256": "s",
        "slide_mpp": 0.5,
        "method": "otsu",
        "mask_sha256": None,
        **other,
    }
    return content_key(
        other.pop("settings", SETTINGS),
        **{k: v for k, v in given.items() if k != "settings"},
    )


def test_the_key_depends_on_everything_that_makes_features() -> None:
    keys = [
        key(),
        key(slide_sha256="t"),
        key(slide_mpp=0.25),
        key(method="given", mask_sha256="m"),
        key(method="given", mask_sha256="n"),
        key(settings={**SETTINGS, "overlap": 0.5}),
        key(settings={**SETTINGS, "mpp": 1.0}),
        key(settings={**SETTINGS, "revision": REVISION + 1}),
        key(settings={**SETTINGS, "encoder": {"name": "other"}}),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key()


def test_auto_and_otsu_said_by_name_are_the_same_content() -> None:
    assert key(settings={**SETTINGS, "tissue": "otsu"}) == key()


def test_inputs_change_with_the_file_and_what_the_table_says(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"slide")
    mask = tmp_path / "m.tif"
    mask.write_bytes(b"mask")
    config = ExtractConfig()

    def inputs(config: ExtractConfig = config, **given: Any) -> str:
        return inputs_key(SlideItem("a", "P", path, **given), config, SETTINGS)

    keys = [
        inputs(),
        inputs(mpp=0.5),
        inputs(objective=20.0),
        inputs(mask=mask),
        inputs(ExtractConfig(slide_mpp=0.5)),
        inputs(ExtractConfig(max_unreadable=0.5)),
    ]
    assert len(set(keys)) == len(keys)
    before = inputs(mask=mask)
    os.utime(mask, ns=(1, 1))
    assert inputs(mask=mask) != before
    assert inputs(ExtractConfig(tissue="otsu"), mask=mask) == inputs(
        ExtractConfig(tissue="otsu"),
    )
    before = inputs()
    os.utime(path, ns=(1, 1))
    assert inputs() != before
    path.unlink()
    assert inputs() != before  # absent is no error here: opening it will say so


def test_companions_belong_to_their_slide(tmp_path: Path) -> None:
    slide = tmp_path / "a.mrxs"
    slide.write_bytes(b"index")
    assert slide_files(slide) == [slide]
    assert hash_slide(slide) == sha256_file(slide)
    (tmp_path / "a").mkdir()
    data = tmp_path / "a" / "Data0000.dat"
    data.write_bytes(b"pixels")
    assert slide_files(slide) == [slide, data]
    before, size = hash_slide(slide), stamp(slide)[0]
    data.write_bytes(b"others")
    assert hash_slide(slide) != before
    assert stamp(slide)[0] == size == 11
    one, two = tmp_path / "1.dcm", tmp_path / "2.dcm"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    assert slide_files(one) == [one, two] == slide_files(two)
    assert stamp(tmp_path / "gone.tif") == [str(tmp_path / "gone.tif")]


def test_versions_name_what_touches_pixels() -> None:
    assert {"survfuse", "numpy", "openslide-bin", "tifffile"} <= set(versions())
