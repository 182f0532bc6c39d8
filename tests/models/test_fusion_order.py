"""The order in which modalities are named orders columns and changes no number."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from survfuse.models.fusion import FUSIONS, Fusion, FusionSizes, build_fusion
from survfuse.models.pooling import TileReader

WIDTHS = {"a": 4, "b": 3, "c": 2, "d": 5}
SIZES = FusionSizes(
    rank=3,
    pair_width=4,
    residual_width=6,
    tensor_width=3,
    query_tokens=2,
)
OFFSETS = torch.tensor([0, 2, 2, 5, 6])


def make(name: str, order: tuple[str, ...]) -> Fusion:
    torch.manual_seed(0)
    return build_fusion(name, {m: WIDTHS[m] for m in order}, WIDTHS, SIZES, bags=("b",))


def run(fusion: Fusion) -> dict[frozenset[str], Tensor]:
    """Blocks by the set of words in their name."""
    generator = torch.Generator().manual_seed(0)
    values = {
        m: torch.randn(4, width, generator=generator) for m, width in WIDTHS.items()
    }
    present = {m: torch.tensor([True] * 4) for m in WIDTHS}
    present["a"] = torch.tensor([True, False, True, False])
    tiles = torch.randn(6, WIDTHS["b"], generator=generator)
    asked = (
        ({"b": TileReader(OFFSETS, lambda: [(0, tiles)])},)
        if fusion.needs_tiles
        else ()
    )
    blocks = fusion(values, present, *asked).split(list(fusion.parts.values()), dim=1)
    return {
        frozenset(part.split("*")): block
        for part, block in zip(fusion.parts, blocks, strict=True)
    }


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("order", [("b", "a"), ("c", "a", "b"), ("d", "b", "a", "c")])
def test_order_of_modalities_only_orders_columns(
    name: str,
    order: tuple[str, ...],
) -> None:
    straight, turned = make(name, tuple(sorted(order))), make(name, order)
    source = straight.state_dict()
    turned.load_state_dict(
        {key: same_weights(key, source, order) for key in turned.state_dict()},
    )
    ours, theirs = run(straight), run(turned)
    assert ours.keys() == theirs.keys()
    for members, block in ours.items():
        if name in {"tensor", "gated_kronecker"}:
            block = transposed(
                block,
                straight,
                sorted(members),
                [m for m in order if m in members],
            )
        torch.testing.assert_close(block, theirs[members])


def transposed(block: Tensor, fusion: Fusion, old: list[str], new: list[str]) -> Tensor:
    """The same outer product with its modalities in another order."""
    shaped = block.unflatten(1, [fusion.parts[m] for m in old])
    return shaped.permute(0, *(1 + old.index(m) for m in new)).flatten(1)


def same_weights(
    key: str,
    source: Mapping[str, Tensor],
    order: tuple[str, ...],
) -> Tensor:
    """What `key` holds in a fusion over `order`, from one over the sorted modalities."""
    words = key.split(".")
    match words:
        case ["residual", "weight"] | [
            "gate",
            _,
            "weight",
        ]:  # reads all embeddings side by side
            pieces = source[key].split([WIDTHS[m] for m in sorted(order)], dim=1)
            beside = dict(zip(sorted(order), pieces, strict=True))
            return torch.cat([beside[m] for m in order], dim=1)
        case ["pairs", pair, side, kind]:
            left, right = pair.split("*")
            if left > right:
                swapped = {"left": "right", "right": "left", "out": "out"}[side]
                return source[f"pairs.{right}*{left}.{swapped}.{kind}"]
        case ["triples", triple, *rest]:
            members = triple.split("*")
            if rest[0] == "sides":
                pair = tuple(itertools.combinations(members, 2))[int(rest[1])]
                place = list(itertools.combinations(sorted(members), 2)).index(
                    tuple(sorted(pair)),
                )
                rest = ["sides", str(place), rest[2]]
            return source[".".join(["triples", "*".join(sorted(members)), *rest])]
    return source[key]
