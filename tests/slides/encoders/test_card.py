from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from survfuse._errors import ConfigError
from survfuse.slides.encoders.card import ENCODERS, EncoderCard, find_card, to_markdown

DOCS = Path(__file__).resolve().parents[3] / "docs"
CARDS = pytest.mark.parametrize("card", [*map(find_card, ENCODERS)], ids=list(ENCODERS))


def test_the_encoders_asked_for_are_there() -> None:
    assert set(ENCODERS) >= {
        "stain_texture",
        "uni",
        "uni2_h",
        "virchow2",
        "h_optimus_0",
        "h_optimus_1",
        "prov_gigapath",
        "phikon_v2",
        "conch",
        "resnet50",
        "resnet50_truncated",
    }


@CARDS
def test_a_card_is_complete(card: EncoderCard) -> None:
    assert ENCODERS[card.name].summary == card.summary
    assert card.summary
    assert card.source
    assert card.licence
    assert 0.1 <= card.mpp <= 2
    assert min(card.std) > 0
    assert card.dim > 0
    if card.needs_weights:
        assert card.weights.startswith("https://huggingface.co/")
        assert card.file in {"pytorch_model.bin", "model.safetensors"}
        assert not card.arguments.get("num_classes")
    else:
        assert not card.weights
    card.check_px(card.px)


def test_no_card_claims_a_checksum() -> None:
    """Publishers print none; one invented here would refuse the right file."""
    assert not [name for name in EncoderCard.__dataclass_fields__ if "sha" in name]


@pytest.mark.parametrize("spelling", ["UNI2-h", "uni2_h", " Uni2 h"])
def test_spellings_are_one(spelling: str) -> None:
    assert find_card(spelling).name == "uni2_h"


def test_an_unknown_encoder_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^unknown encoder 'virchov2'; known: .*; did you mean 'virchow2'\?$",
    ):
        find_card("virchov2")
    with pytest.raises(
        ConfigError,
        match=r"known: stain_texture, uni, .*resnet50_truncated",
    ):
        find_card("qqq")


def test_other_tile_sides() -> None:
    find_card("uni").check_px(448)
    find_card("stain_texture").check_px(35)
    with pytest.raises(
        ConfigError,
        match=r"^encoder 'uni' takes tiles of 224 px, or of any multiple of 16 px",
    ):
        find_card("uni").check_px(256 + 1)
    with pytest.raises(
        ConfigError,
        match=r"^encoder 'h_optimus_0' takes tiles of 224 px, not 256; leave tile_px",
    ):
        find_card("h_optimus_0").check_px(256)
    with pytest.raises(ConfigError, match=r"from 32 up, not 16$"):
        find_card("stain_texture").check_px(16)


def test_only_networks_that_take_other_sides_say_so() -> None:
    for card in map(find_card, ENCODERS):
        if card.arch.startswith("vit"):
            assert (card.px_step is not None) == bool(
                card.arguments.get("dynamic_img_size"),
            ), card.name


def test_cards_load_neither_torch_nor_timm() -> None:
    code = (
        "import sys; import survfuse.slides.encoders, survfuse.slides.encoders.card; "
        "print([m for m in ('torch', 'timm', 'torchvision', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_page_is_generated_from_the_cards() -> None:
    """Write it again with `to_markdown` after changing a card."""
    assert to_markdown() in (DOCS / "encoders.md").read_text(encoding="utf-8")
