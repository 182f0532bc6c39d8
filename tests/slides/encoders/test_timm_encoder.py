from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from survfuse._errors import ConfigError, SlideError
from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder import EncoderCard
from survfuse.slides.encoders.encoder_networks import build_network, randomise
from survfuse.slides.encoders.loading import load_encoder
from survfuse.slides.encoders.timm_encoder import TimmEncoder

H_OPTIMUS_0 = find_card("h_optimus_0")
RESNET50_TRUNCATED = find_card("resnet50_truncated")


def encoder_of(
    card: EncoderCard,
    *,
    precision: str = "fp32",
    batch: int = 4,
) -> TimmEncoder:
    return TimmEncoder(
        card,
        randomise(card, 0),
        origin={"random_weights": 0},
        name=f"{card.name}_random",
        device=torch.device("cpu"),
        precision=precision,
        batch=batch,
    )


def test_features_are_those_of_the_network_on_normalised_tiles(
    tiny: EncoderCard,
    tiles: np.ndarray,
) -> None:
    found = encoder_of(tiny).encode(tiles)
    images = (tiles / 255 - np.array(tiny.mean)) / np.array(tiny.std)
    with torch.inference_mode():
        expected = randomise(tiny, 0)(
            torch.from_numpy(images).permute(0, 3, 1, 2).float(),
        ).numpy()
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_neighbours_do_not_matter(tiny: EncoderCard, tiles: np.ndarray) -> None:
    """Before rounding to float16, to 0.0001 of the size of a feature."""
    encoder = encoder_of(tiny, batch=7)
    whole = encoder._forward(tiles).numpy()
    for batch in (1, 2, 3):
        parts = [
            encoder._forward(tiles[i : i + batch]).numpy() for i in range(0, 7, batch)
        ]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-5)
    turned = encoder._forward(tiles[::-1].copy()).numpy()[::-1]
    np.testing.assert_allclose(turned, whole, rtol=1e-4, atol=1e-5)


def test_no_tiles_give_no_features(tiny: EncoderCard) -> None:
    found = encoder_of(tiny).encode(np.zeros((0, 64, 64, 3), np.uint8))
    assert found.shape == (0, 32)
    assert found.dtype == np.float16


def test_views_and_read_only_tiles_are_fine(
    tiny: EncoderCard,
    tiles: np.ndarray,
) -> None:
    encoder = encoder_of(tiny)
    frozen = tiles[::2]
    frozen.setflags(write=False)
    np.testing.assert_array_equal(
        encoder.encode(frozen),
        encoder.encode(tiles[::2].copy()),
    )


def test_other_tile_sides_where_the_card_allows(
    tiny: EncoderCard,
    tiles: np.ndarray,
) -> None:
    wide = np.tile(tiles, (1, 2, 2, 1))
    assert encoder_of(tiny).encode(wide).shape == (7, 32)
    with pytest.raises(
        ConfigError,
        match=r"^encoder 'tiny' takes tiles of 64 px, not 128; leave tile_px out",
    ):
        encoder_of(replace(tiny, px_step=None)).encode(wide)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near(
    tiny: EncoderCard,
    tiles: np.ndarray,
    precision: str,
) -> None:
    whole = encoder_of(tiny).encode(tiles).astype(float)
    less = encoder_of(tiny, precision=precision).encode(tiles).astype(float)
    assert 0 < np.abs(less - whole).max() < 0.1


def test_overflow_is_an_error(tiny: EncoderCard, tiles: np.ndarray) -> None:
    encoder = encoder_of(tiny)
    with torch.no_grad():
        encoder._network.trunk.norm.weight.mul_(1e6)
    with pytest.raises(
        SlideError,
        match=r"^encoder 'tiny_random' gave values that float16 cannot hold in 4 of 4 tiles",
    ):
        encoder.encode(tiles)


def test_memory_is_explained(
    tiny: EncoderCard,
    tiles: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    encoder = encoder_of(tiny)
    monkeypatch.setattr(encoder, "_network", refuse)
    with pytest.raises(
        ConfigError,
        match=r"4 tiles of 64 px do not fit the memory of cpu; ask for a smaller batch than 4",
    ):
        encoder.encode(tiles)


def test_training_cannot_creep_in(tiny: EncoderCard) -> None:
    network = encoder_of(tiny)._network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_identity_tells_what_decides_the_features(tiny: EncoderCard) -> None:
    first = encoder_of(tiny).identity()
    assert json.loads(json.dumps(first)) == first
    assert first["random_weights"] == 0
    assert first != encoder_of(tiny, precision="bf16").identity()
    assert first != encoder_of(replace(tiny, mean=(0.5, 0.5, 0.5))).identity()
    assert (
        first == encoder_of(tiny, batch=2).identity()
    )  # tiles computed together are no part of it
    json.dumps(encoder_of(RESNET50_TRUNCATED).identity())


def test_a_convolutional_network_runs(tiles: np.ndarray) -> None:
    """Stage three of ResNet-50, averaged; any side that is a multiple of 32."""
    encoder = load_encoder("resnet50-truncated", random_weights=1)
    found = encoder.encode(tiles[:3])
    assert found.shape == (3, 1024)
    assert encoder.name == "resnet50_truncated_random"
    np.testing.assert_allclose(
        encoder.encode(tiles[1:2]),
        found[1:2],
        rtol=1e-2,
        atol=1e-3,
    )


def test_a_giant_is_a_giant_with_one_block(tiles: np.ndarray) -> None:
    """The whole has 1.1 billion parameters; one block shows that the parts work together."""
    network = build_network(H_OPTIMUS_0, depth=1, embed_dim=48, num_heads=2)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 48)


@pytest.mark.slow
def test_uni_with_random_weights_runs_end_to_end() -> None:
    """303 million parameters: once, on two tiles."""
    tiles = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    tiles[1] = 230
    encoder = load_encoder("uni", random_weights=7, device="cpu", batch=2)
    found = encoder.encode(tiles)
    assert (encoder.name, encoder.px, encoder.dim, found.shape) == (
        "uni_random",
        224,
        1024,
        (2, 1024),
    )
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 0.1
