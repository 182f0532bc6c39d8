from __future__ import annotations

from pathlib import Path

import pytest

from slide_files import MeanEncoder
from survfuse._errors import ConfigError
from survfuse.config import build, to_markdown
from survfuse.slides import ExtractConfig, SlideItem
from survfuse.slides.encoders import find_card
from survfuse.slides.settings import settings_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_field_has_a_reason() -> None:
    assert [
        name
        for name, field in ExtractConfig.model_fields.items()
        if not field.description
    ] == []


def test_the_page_is_generated_from_the_code() -> None:
    assert to_markdown(ExtractConfig) in (DOCS / "slides.md").read_text(
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            {"weights": "w.pt", "random_weights": 1},
            "weights and random_weights exclude each other",
        ),
        ({"sha256": "0"}, "sha256 is the checksum of `weights`, which are not given"),
        ({"overlap": 1.0}, r"extract\.overlap: .*less than 0\.95"),
        ({"tisue": "otsu"}, "unknown field; did you mean 'tissue'"),
        ({"tissue": "magic"}, r"extract\.tissue: .*'otsu'"),
        ({"max_unreadable": -0.1}, "greater than or equal to 0"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        build(ExtractConfig, given, where="extract")


def test_the_card_fills_what_is_not_said() -> None:
    encoder = MeanEncoder()
    said = settings_of(ExtractConfig(), encoder)
    assert (said["tile_px"], said["mpp"], said["encoder"]) == (
        64,
        0.5,
        encoder.identity(),
    )
    said = settings_of(ExtractConfig(tile_px=96, mpp=1.0), encoder)
    assert (said["tile_px"], said["mpp"]) == (96, 1.0)


def test_a_tile_side_that_the_encoder_cannot_take_is_refused_before_any_slide() -> None:
    class Strict(MeanEncoder):
        card = find_card("uni")  # type: ignore[assignment]

    with pytest.raises(ConfigError, match="encoder 'uni' takes tiles of 224 px"):
        settings_of(ExtractConfig(tile_px=250), Strict())


def test_what_was_removed_is_refused_by_name() -> None:
    with pytest.raises(
        ValueError,
        match=r"lazyslide was removed.*\(docs/decisions/0017\); say otsu",
    ):
        ExtractConfig(tissue="lazyslide")  # type: ignore[arg-type]


def test_where_tiles_are_taken() -> None:
    bare = SlideItem("a", "P", Path("a.tif"))
    masked = SlideItem("a", "P", Path("a.tif"), mask=Path("m.tif"))
    auto = ExtractConfig()
    assert (auto.method_for(bare), auto.method_for(masked)) == ("otsu", "given")
    assert ExtractConfig(tissue="otsu").method_for(masked) == "otsu"
    assert ExtractConfig(tissue="given").method_for(bare) == "given"


def test_what_changes_no_feature_is_no_setting_of_a_folder() -> None:
    same = [
        {"batch": 7},
        {"threads": 3},
        {"slide_mpp": 0.25},
        {"objective_power": 20.0},
        {"max_unreadable": 0.5},
        {"device": "cpu"},
    ]
    for given in same:
        assert settings_of(ExtractConfig(**given), MeanEncoder()) == settings_of(
            ExtractConfig(),
            MeanEncoder(),
        )
    for given in (
        {"overlap": 0.5},
        {"min_cover": 0.5},
        {"tissue": "everything"},
        {"max_pen": 0.1},
    ):
        assert settings_of(ExtractConfig(**given), MeanEncoder()) != settings_of(
            ExtractConfig(),
            MeanEncoder(),
        )
