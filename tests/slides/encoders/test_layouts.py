"""Names of published files, held against the libraries that wrote them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from survfuse.slides.encoders._timm import import_timm
from survfuse.slides.encoders.card import find_card
from survfuse.slides.encoders.encoder_networks import build_network, randomise
from survfuse.slides.encoders.layouts import to_network

CONCH = find_card("conch")
PHIKON_V2 = find_card("phikon_v2")
RESNET50 = find_card("resnet50")
UNI = find_card("uni")

OLD_NAMES = (
    (".attention.q_proj.", ".attention.attention.query."),
    (".attention.k_proj.", ".attention.attention.key."),
    (".attention.v_proj.", ".attention.attention.value."),
    (".attention.o_proj.", ".attention.output.dense."),
)
"""transformers spelt Dinov2's attention so when Phikon-v2 was published; later versions rename on loading."""


@pytest.mark.parametrize("spelling", ["published", "recent", "inside a larger model"])
def test_dinov2_of_transformers_gives_the_same_features(spelling: str) -> None:
    import_timm()  # transformers falls into the trap of torchvision too
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        layerscale_value=1.0,
    )
    torch.manual_seed(0)
    oracle = transformers.Dinov2Model(config).eval()
    with torch.no_grad():
        for (
            parameter
        ) in oracle.parameters():  # biases and scales too, else a swap would pass
            parameter.add_(0.1 * torch.randn_like(parameter))
    tensors = dict(oracle.state_dict())
    if spelling != "recent":
        for new, old in OLD_NAMES:
            tensors = {
                name.replace(new, old): tensor for name, tensor in tensors.items()
            }
    if spelling == "inside a larger model":
        tensors = {f"dinov2.{name}": tensor for name, tensor in tensors.items()}
    card = replace(
        PHIKON_V2,
        arguments={
            **PHIKON_V2.arguments,
            "img_size": 64,
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 2,
        },
    )
    network = build_network(card)
    network.load_state_dict(to_network(tensors, card), strict=True)
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        expected = oracle(pixel_values=images).last_hidden_state[:, 0]
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_an_incomplete_attention_is_reported_missing() -> None:
    tensors = {"encoder.layer.0.attention.attention.query.weight": torch.zeros(4, 4)}
    assert to_network(tensors, PHIKON_V2) == {}


def test_conch_keeps_the_image_half() -> None:
    names = [
        "visual.trunk.cls_token",
        "visual.attn_pool_contrast.query",
        "visual.attn_pool_contrast.attn.q_proj_weight",
        "visual.attn_pool_contrast.ln_k.weight",
        "visual.ln_contrast.weight",
        "visual.proj_contrast",
        "visual.attn_pool_caption.query",
        "visual.ln_caption.weight",
        "text.cls_emb",
        "logit_scale",
    ]
    found = to_network({name: torch.zeros(1) for name in names}, CONCH)
    assert list(found) == [
        "trunk.cls_token",
        "pooler.query",
        "pooler.attn.q_proj_weight",
        "pooler.ln_k.weight",
        "pooler.ln_out.weight",
    ]
    assert set(found) <= set(build_network(CONCH, device="meta").state_dict())


def test_wrappers_and_classifiers_fall_away() -> None:
    tensors = {
        "module.conv1.weight": torch.zeros(1),
        "_orig_mod.fc.weight": torch.zeros(1),
    }
    assert list(to_network(tensors, RESNET50)) == ["trunk.conv1.weight"]


def test_a_stranger_keeps_its_name() -> None:
    assert list(to_network({"quux": torch.zeros(1)}, UNI)) == ["trunk.quux"]


def test_a_file_in_our_own_words_returns_unchanged() -> None:
    card = replace(
        UNI,
        arguments={
            **UNI.arguments,
            "img_size": 32,
            "embed_dim": 16,
            "depth": 1,
            "num_heads": 1,
        },
    )
    network = randomise(card, 0)
    published = {
        name.removeprefix("trunk."): tensor
        for name, tensor in network.state_dict().items()
    }
    assert set(to_network(published, card)) == set(network.state_dict())
