"""Each fusion against its equation, written slowly: explicit outer products, one patient at a time."""

from __future__ import annotations

import itertools
import math
import string

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from survfuse._errors import ConfigError
from survfuse.models.fusion import Fusion, FusionSizes, build_fusion

WIDTHS = {"a": 4, "b": 3, "c": 2, "d": 5}
SIZES = FusionSizes(rank=3, pair_width=4, tensor_width=3)
PATTERN = {
    "a": [1, 0, 1, 0, 1],
    "b": [1, 1, 0, 0, 1],
    "c": [1, 1, 1, 0, 0],
    "d": [1, 0, 1, 0, 1],
}

modalities = st.lists(st.sampled_from(list(WIDTHS)), min_size=2, unique=True)


def data(names: list[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    values = {
        m: torch.randn(5, width, generator=generator, dtype=torch.float64)
        for m, width in WIDTHS.items()
    }
    return {m: values[m] for m in names}, {
        m: torch.tensor(PATTERN[m], dtype=torch.bool) for m in names
    }


def make(name: str, names: list[str], sizes: FusionSizes = SIZES) -> Fusion:
    torch.manual_seed(2)
    return build_fusion(name, {m: WIDTHS[m] for m in names}, set(names), sizes).double()


def weights(fusion: Fusion) -> dict[str, Tensor]:
    return {key: value.detach() for key, value in fusion.named_parameters()}


def outer(vectors: list[Tensor]) -> Tensor:
    """``v_1 x v_2 x ...`` as an array of as many axes, by einsum."""
    letters = string.ascii_lowercase[: len(vectors)]
    return torch.einsum(f"{','.join(letters)}->{letters}", *vectors)


def with_one(vector: Tensor) -> Tensor:
    return torch.cat([vector, vector.new_ones(1)])


def cube_of(
    row: Tensor,
    fusion: Fusion,
    names: list[str],
    lengths: list[int],
) -> Tensor:
    """Put the parts of one patient back into ``[z; 1] x [z; 1] x ...``; the last index is the 1."""
    cube = row.new_zeros([n + 1 for n in lengths])
    cube[(-1,) * len(names)] = 1.0
    for part, block in zip(
        fusion.parts,
        row.split(list(fusion.parts.values())),
        strict=True,
    ):
        members = part.split("*")
        place = tuple(
            slice(0, n) if m in members else n
            for m, n in zip(names, lengths, strict=True)
        )
        cube[place] = block.view(
            [n for m, n in zip(names, lengths, strict=True) if m in members],
        )
    return cube


@given(names=modalities)
@settings(deadline=None, max_examples=20)
def test_tensor_is_the_whole_outer_product(names: list[str]) -> None:
    fusion, (values, present) = make("tensor", names), data(names)
    p = weights(fusion)
    fused = fusion(values, present).detach()
    lengths = [min(WIDTHS[m], 3) for m in names]
    for i in range(5):
        z = []
        for m, length in zip(names, lengths, strict=True):
            x = values[m][i]
            x = (
                p[f"reduce.{m}.weight"] @ x + p[f"reduce.{m}.bias"]
                if WIDTHS[m] > 3
                else x
            )
            z.append(with_one(x if present[m][i] else x.new_zeros(length)))
        torch.testing.assert_close(cube_of(fused[i], fusion, names, lengths), outer(z))


@given(names=modalities)
@settings(deadline=None, max_examples=20)
def test_gated_kronecker_is_the_outer_product_of_gated_embeddings(
    names: list[str],
) -> None:
    fusion, (values, present) = make("gated_kronecker", names), data(names)
    p = weights(fusion)
    fused = fusion(values, present).detach()
    for i in range(5):
        beside = torch.cat([values[m][i] * present[m][i] for m in names])
        h = []
        for m in names:
            gate = torch.sigmoid(p[f"gate.{m}.weight"] @ beside + p[f"gate.{m}.bias"])
            own = torch.relu(
                p[f"signal.{m}.weight"] @ values[m][i] + p[f"signal.{m}.bias"],
            )
            h.append(with_one(gate * own * present[m][i]))
        torch.testing.assert_close(
            cube_of(fused[i], fusion, names, [3] * len(names)),
            outer(h),
        )


@given(names=modalities)
@settings(deadline=None, max_examples=20)
def test_lowrank_tensor_is_the_full_tensor_under_a_weight_of_low_rank(
    names: list[str],
) -> None:
    fusion, (values, present) = make("lowrank_tensor", names), data(names)
    head = torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64)  # a weight per rank
    risk = fusion(values, present).detach() @ head
    rows = [weights(fusion)[f"factors.{m}.weight"] for m in names]  # (rank, d + 1)
    weight = torch.stack([head[r] * outer([w[r] for w in rows]) for r in range(3)]).sum(
        0,
    )
    for i in range(5):
        z = outer([with_one(values[m][i] * present[m][i]) for m in names])
        anyone = any(bool(present[m][i]) for m in names)
        torch.testing.assert_close(risk[i], (weight * z).sum() * anyone)


def test_outer_products_of_the_others_survive_a_missing_modality() -> None:
    """The blocks without c are the same numbers whether c is there or was never heard of."""
    values, _ = data(["a", "b", "c"])
    there = {m: torch.ones(5, dtype=torch.bool) for m in values}
    gone = there | {"c": torch.zeros(5, dtype=torch.bool)}
    fusion = make("tensor", ["a", "b", "c"])
    with_c, without = (
        dict(
            zip(
                fusion.parts,
                fusion(values, seen).split(list(fusion.parts.values()), 1),
                strict=True,
            ),
        )
        for seen in (there, gone)
    )
    for part in ("a", "b", "a*b"):
        assert torch.equal(with_c[part], without[part])
    assert all(not without[part].any() for part in fusion.parts if "c" in part)


def test_too_wide_an_outer_product_is_refused() -> None:
    wide = dict.fromkeys("abcdef", 40)
    for name in ("tensor", "gated_kronecker"):
        with pytest.raises(
            ConfigError,
            match=f"'{name}': the outer product of 6 modalities has 531,440 columns.*now 8",
        ):
            build_fusion(name, wide, wide, FusionSizes())


def test_pair_block_is_the_formula() -> None:
    fusion, (values, _) = make("pairwise", ["a", "b"]), data(["a", "b"])
    p = {key.split(".", 2)[2]: value for key, value in weights(fusion).items()}
    left = values["a"] @ p["left.weight"].T + p["left.bias"]
    right = values["b"] @ p["right.weight"].T + p["right.bias"]
    expected = (left * right) @ p["out.weight"].T + p["out.bias"]
    torch.testing.assert_close(
        fusion(values, {m: torch.ones(5, dtype=torch.bool) for m in values}),
        expected,
    )


def test_hierarchical_is_pairwise_and_products_of_its_pairs() -> None:
    names = ["a", "b", "c", "d"]
    fusion, (values, _) = make("hierarchical", names), data(names)
    everyone = {m: torch.ones(5, dtype=torch.bool) for m in names}
    p = weights(fusion)
    fused = fusion(values, everyone).detach()
    found = dict(
        zip(fusion.parts, fused.split(list(fusion.parts.values()), 1), strict=True),
    )
    level_one = make("pairwise", names)
    level_one.load_state_dict(
        {key: value for key, value in p.items() if key.startswith("pairs")},
    )
    torch.testing.assert_close(
        torch.cat(list(found.values())[:6], 1),
        level_one(values, everyone),
    )
    for members in itertools.combinations(names, 3):
        key = "triples." + "*".join(members)
        sides = [
            found["*".join(pair)] @ p[f"{key}.sides.{i}.weight"].T
            + p[f"{key}.sides.{i}.bias"]
            for i, pair in enumerate(itertools.combinations(members, 2))
        ]
        product = sum(x * y for x, y in itertools.combinations(sides, 2))
        torch.testing.assert_close(
            found["*".join(members)],
            product @ p[f"{key}.out.weight"].T + p[f"{key}.out.bias"],
        )


def test_late_is_a_sum_of_unimodal_risks() -> None:
    names = ["a", "b", "c"]
    fusion, (values, present) = make("late", names), data(names)
    p = weights(fusion)
    for j, m in enumerate(names):
        risk = (values[m] @ p[f"risks.{m}.weight"].T).squeeze(1) + p[f"risks.{m}.bias"]
        torch.testing.assert_close(
            fusion(values, present)[:, j].detach(),
            risk * present[m],
        )


def test_gated_shares_attention_among_those_present() -> None:
    names = ["a", "b", "c", "d"]
    fusion, (values, present) = make("gated", names), data(names)
    p = weights(fusion)
    fused = fusion(values, present).detach().unflatten(1, (4, 4))
    for i in range(5):
        v = {
            m: torch.relu(
                p[f"project.{m}.weight"] @ values[m][i] + p[f"project.{m}.bias"],
            )
            for m in names
        }
        exponent = {}
        for m in (m for m in names if present[m][i]):
            signal = torch.tanh(p["signal.weight"] @ v[m] + p["signal.bias"])
            gate = torch.sigmoid(p["gate.weight"] @ v[m] + p["gate.bias"])
            exponent[m] = math.exp(float(p["score.weight"][0] @ (signal * gate)))
        for j, m in enumerate(names):
            share = exponent.get(m, 0.0) / sum(exponent.values()) if exponent else 0.0
            torch.testing.assert_close(fused[i, j], share * v[m])
