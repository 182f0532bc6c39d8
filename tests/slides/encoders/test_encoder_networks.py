from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from survfuse.slides.encoders.card import ENCODERS, find_card
from survfuse.slides.encoders.encoder import EncoderCard
from survfuse.slides.encoders.encoder_networks import build_network, randomise

CONCH = find_card("conch")
RESNET50 = find_card("resnet50")
RESNET50_TRUNCATED = find_card("resnet50_truncated")
VIRCHOW2 = find_card("virchow2")

PUBLISHED_MILLIONS = {
    "uni": 303.4,
    "uni2_h": 681.4,
    "virchow2": 631.2,
    "h_optimus_0": 1134.8,
    "h_optimus_1": 1134.8,
    "prov_gigapath": 1135.0,
    "phikon_v2": 303.4,
    "resnet50": 23.5,  # 25.6 with the classifier
}
"""Parameters in millions; for the published sizes see each model's page."""


@pytest.mark.parametrize(
    "name",
    [name for name in ENCODERS if find_card(name).needs_weights],
)
def test_every_card_builds_to_its_dimension(name: str) -> None:
    """On torch's meta device: shapes only, so that giants cost nothing."""
    card = find_card(name)
    network = build_network(card, device="meta")
    with torch.device("meta"):
        assert network(torch.zeros(2, 3, card.px, card.px)).shape == (2, card.dim)
    if name in PUBLISHED_MILLIONS:
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        assert millions == pytest.approx(PUBLISHED_MILLIONS[name], abs=0.1)


PUBLISHED_SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "uni": {
        "cls_token": (1, 1, 1024),
        "pos_embed": (1, 197, 1024),
        "blocks.23.ls2.gamma": (1024,),
    },
    "uni2_h": {
        "reg_token": (1, 8, 1536),
        "pos_embed": (1, 256, 1536),
        "blocks.23.mlp.fc1.weight": (8192, 1536),
    },
    "virchow2": {
        "reg_token": (1, 4, 1280),
        "pos_embed": (1, 261, 1280),
        "blocks.31.mlp.fc2.weight": (1280, 3416),
    },
    "h_optimus_0": {
        "reg_token": (1, 4, 1536),
        "pos_embed": (1, 256, 1536),
        "patch_embed.proj.weight": (1536, 3, 14, 14),
    },
    "prov_gigapath": {
        "pos_embed": (1, 197, 1536),
        "blocks.39.mlp.fc2.weight": (1536, 4096),
        "patch_embed.proj.weight": (1536, 3, 16, 16),
    },
    "resnet50_truncated": {"layer3.5.conv3.weight": (1024, 256, 1, 1)},
}


@pytest.mark.parametrize(("name", "expected"), PUBLISHED_SHAPES.items())
def test_names_and_shapes_of_the_published_files(
    name: str,
    expected: dict[str, tuple[int, ...]],
) -> None:
    state = build_network(find_card(name), device="meta").state_dict()
    assert {key: tuple(state[f"trunk.{key}"].shape) for key in expected} == expected


def test_a_truncated_network_ends_where_it_says() -> None:
    assert not [
        key
        for key in build_network(RESNET50_TRUNCATED, device="meta").state_dict()
        if "layer4" in key
    ]
    assert [
        key
        for key in build_network(RESNET50, device="meta").state_dict()
        if "layer4" in key
    ]


def small(card: EncoderCard, **more: object) -> EncoderCard:
    arguments = {
        **card.arguments,
        "img_size": 56,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        **more,
    }
    return replace(card, arguments=arguments, px=56, dim=64)


def test_class_token_and_mean_leave_the_registers_out() -> None:
    network = randomise(small(VIRCHOW2), 0)
    images = torch.randn(3, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    tokens = network.trunk(images)  # (3, 1 + 4 + 16, 32)
    assert tokens.shape == (3, 21, 32)
    torch.testing.assert_close(network(images)[:, :32], tokens[:, 0])
    torch.testing.assert_close(network(images)[:, 32:], tokens[:, 5:].mean(1))


def test_attention_pooling_is_multi_head_attention_of_one_question() -> None:
    """By hand: per head, a softmax over tokens of the scaled product with one query."""
    network = randomise(small(CONCH), 0)
    pooler = network.pooler
    assert pooler is not None
    tokens = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1))
    told, asked = pooler.ln_k(tokens), pooler.ln_q(pooler.query)
    bias = pooler.attn.in_proj_bias.reshape(3, 64)
    query = (asked @ pooler.attn.q_proj_weight.T + bias[0]).reshape(
        8,
        8,
    )  # (heads, per head)
    key = (told @ pooler.attn.k_proj_weight.T + bias[1]).reshape(2, 5, 8, 8)
    value = (told @ pooler.attn.v_proj_weight.T + bias[2]).reshape(2, 5, 8, 8)
    weight = torch.softmax(torch.einsum("hc,nthc->nth", query, key) / 8**0.5, dim=1)
    answer = torch.einsum("nth,nthc->nhc", weight, value).reshape(2, 64)
    torch.testing.assert_close(
        pooler(tokens),
        pooler.ln_out(pooler.attn.out_proj(answer)),
    )


def test_a_seed_decides_the_weights_and_nothing_else(tiny: EncoderCard) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = randomise(tiny, 1), randomise(tiny, 1), randomise(tiny, 2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert not all(
        torch.equal(a, b)
        for a, b in zip(first.parameters(), other.parameters(), strict=True)
    )


def test_random_weights_tell_tiles_apart(tiny: EncoderCard) -> None:
    """With the usual layer scale of 0.00001 all features would be equal."""
    network = randomise(tiny, 0).requires_grad_(False)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found = network(images)
    assert float((found[0] - found[1]).abs().max()) > 0.01
