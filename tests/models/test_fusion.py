"""One contract over every fusion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from survfuse._errors import ConfigError
from survfuse.models import NetworkConfig, VectorConfig, build_network
from survfuse.models.fusion import (
    FUSIONS,
    Fusion,
    FusionSizes,
    build_fusion,
    card_table,
    parameter_table,
)
from survfuse.models.fusions.fusion_base import linear_layers
from survfuse.models.fusions.sums import Concat
from survfuse.models.pooling import TileReader

WIDTHS = {"a": 4, "b": 3, "c": 2, "d": 5}
BAGS = ("b",)
SIZES = FusionSizes(
    rank=3,
    pair_width=4,
    raw_pair_width=2,
    residual_width=6,
    tensor_width=3,
    query_tokens=2,
)


def embeddings(patients: int = 6, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(patients, width, generator=generator)
        for name, width in WIDTHS.items()
    }


def everyone(patients: int = 6) -> dict[str, Tensor]:
    return {name: torch.ones(patients, dtype=torch.bool) for name in WIDTHS}


def make(name: str, widths: dict[str, int] | None = None) -> Fusion:
    torch.manual_seed(0)
    return build_fusion(name, widths or WIDTHS, {"a", "b"}, SIZES, BAGS)


def fuse(
    fusion: Fusion,
    given: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
) -> Tensor:
    """Call a fusion; one that reads tiles gets three of each patient, made from the bag's embedding."""
    if not fusion.needs_tiles:
        return fusion(given, present)
    own = {
        name: given[name].masked_fill(~present[name].unsqueeze(1), 0.0)
        for name in BAGS
        if name in given
    }
    tiles = {
        name: torch.stack([values, values * 0.5, values + 1], 1).flatten(0, 1)
        for name, values in own.items()
    }
    offsets = 3 * torch.arange(1 + len(next(iter(given.values()))))
    return fusion(
        given,
        present,
        {name: reader(values, offsets) for name, values in tiles.items()},
    )


def reader(tiles: Tensor, offsets: Tensor) -> TileReader:
    return TileReader(offsets, lambda: [(0, tiles)])


def blocks(fusion: Fusion, fused: Tensor) -> dict[str, Tensor]:
    return dict(
        zip(fusion.parts, fused.split(list(fusion.parts.values()), dim=1), strict=True),
    )


def kinds(base: type[Fusion] = Fusion) -> Iterator[type[Fusion]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_fusion_class_is_registered() -> None:
    assert {card.build for card in FUSIONS.values()} == {
        k for k in kinds() if k.__module__.startswith("survfuse")
    }
    assert {
        *("concat", "late", "gated", "pairwise", "pairwise_residual"),
        *("hierarchical", "tensor", "lowrank_tensor", "gated_kronecker", "coattention"),
    } <= set(FUSIONS)


def test_a_new_fusion_is_one_class() -> None:
    """A network of the new fusion, which masks what is missing."""

    class Maximum(Fusion):
        shared_part = "maximum"

        def build_layers(self, sizes: FusionSizes) -> dict[str, int]:
            self.project = linear_layers(self.widths, sizes.pair_width)
            return {"maximum": sizes.pair_width}

        def blocks(
            self,
            embeddings: Mapping[str, Tensor],
            present: Mapping[str, Tensor],
        ) -> Mapping[str, Tensor]:
            values = []
            for m, layer in self.project.items():
                missing = ~present[m].unsqueeze(1)
                values.append(layer(embeddings[m]).masked_fill(missing, -torch.inf))
            return {"maximum": torch.stack(values).amax(dim=0)}

    card = {"summary": "the largest of linear maps", "source": "this test"}
    FUSIONS.register("maximum", **card)(Maximum)
    try:
        config = NetworkConfig(
            (VectorConfig("a", 4), VectorConfig("b", 3)),
            fusion="maximum",
            pair_width=5,
        )
        fusion = build_network(config, seed=0).fusion
        assert "| `maximum` | the largest of linear maps | this test |" in card_table()
    finally:
        del FUSIONS._cards["maximum"]
    nobody = dict.fromkeys(("a", "b"), torch.zeros(6, dtype=torch.bool))
    assert fusion(embeddings(), everyone()).shape == (6, 5)
    assert not fusion(embeddings(), nobody).any()


@pytest.mark.parametrize("name", FUSIONS)
class TestContract:
    def test_card_and_width(self, name: str) -> None:
        fusion = make(name)
        assert FUSIONS[name].summary
        assert FUSIONS[name].source
        fused = fuse(fusion, embeddings(), everyone())
        assert fused.shape == (6, fusion.width)
        assert fusion.width == sum(fusion.parts.values())

    @pytest.mark.parametrize("missing", WIDTHS)
    def test_missing_modality_vanishes(self, name: str, missing: str) -> None:
        """Its columns are zero, its content (even NaN) is not read, and it gets no gradient at all."""
        fusion = make(name)
        leaves = {key: value.requires_grad_() for key, value in embeddings().items()}
        present = everyone()
        present[missing] = torch.tensor([False, True, False, False, True, False])
        gone = ~present[missing]
        fused = fuse(fusion, leaves, present)
        fused.square().sum().backward()
        grad = leaves[missing].grad
        assert grad is not None
        assert torch.equal(grad[gone], torch.zeros_like(grad[gone]))
        assert (grad[~gone] != 0).any()
        for part, block in blocks(fusion, fused).items():
            if missing in part.split("*"):
                assert torch.equal(block[gone], torch.zeros_like(block[gone]))
        spoiled = {key: value.detach().clone() for key, value in leaves.items()}
        spoiled[missing][gone] = torch.nan
        assert torch.equal(fuse(fusion, spoiled, present), fused)

    @pytest.mark.parametrize("missing", WIDTHS)
    def test_weights_of_a_modality_that_nobody_has_get_no_gradient(
        self,
        name: str,
        missing: str,
    ) -> None:
        fusion = make(name)
        present = everyone()
        present[missing] = torch.zeros(6, dtype=torch.bool)
        leaves = {key: value.requires_grad_() for key, value in embeddings().items()}
        fuse(fusion, leaves, present).square().sum().backward()
        for key, parameter in fusion.named_parameters():
            if any(missing in word.split("*") for word in key.split(".")):
                grad = parameter.grad
                if name == "lowrank_tensor" and grad is not None:
                    grad = grad[
                        :,
                        :-1,
                    ]  # the last column belongs to the products without the modality
                assert grad is None or not grad.any(), key

    def test_patient_with_nothing_fuses_to_zeros(self, name: str) -> None:
        nobody = {key: torch.zeros(6, dtype=torch.bool) for key in WIDTHS}
        fusion = make(name)
        leaves = {key: value.requires_grad_() for key, value in embeddings().items()}
        fused = fuse(fusion, leaves, nobody)
        assert torch.equal(fused, torch.zeros(6, fusion.width))
        fused.sum().backward()
        grads = [leaf.grad for leaf in (*leaves.values(), *fusion.parameters())]
        assert not any(
            grad is not None and grad.any() for grad in grads
        )  # NaN is truth, too

    def test_single_modality_is_its_own_embedding(self, name: str) -> None:
        fusion = make(name, {"b": 3})
        assert isinstance(fusion, Concat)
        values = embeddings()["b"]
        assert torch.equal(
            fusion({"b": values}, {"b": torch.ones(6, dtype=torch.bool)}),
            values,
        )

    def test_permuting_patients_permutes_rows(self, name: str) -> None:
        fusion, order = make(name), torch.tensor([3, 1, 5, 0, 2, 4])
        values, present = embeddings(), everyone()
        present["a"] = torch.tensor([True, False, True, True, False, True])
        fused = fuse(fusion, values, present)
        again = fuse(
            fusion,
            {key: value[order] for key, value in values.items()},
            {key: value[order] for key, value in present.items()},
        )
        torch.testing.assert_close(again, fused[order])

    @given(data=st.data())
    @settings(deadline=None, max_examples=25)
    def test_laws_hold_for_any_pattern_of_missing_modalities(
        self,
        name: str,
        data: st.DataObject,
    ) -> None:
        """Finite; rows do not see each other; placeholders are never read and get no gradient."""
        modalities = data.draw(
            st.lists(st.sampled_from(list(WIDTHS)), min_size=2, unique=True),
        )
        patients = data.draw(st.integers(1, 4))
        seed = data.draw(st.integers(0, 99))
        scale = data.draw(st.sampled_from([1e-3, 1.0, 1e3]))
        fusion = make(name, {m: WIDTHS[m] for m in modalities}).double()
        values = {m: scale * embeddings(patients, seed)[m].double() for m in modalities}
        present = {
            m: torch.tensor(
                data.draw(
                    st.lists(st.booleans(), min_size=patients, max_size=patients),
                ),
            )
            for m in modalities
        }
        for m in modalities:
            values[m][~present[m]] = torch.nan
            values[m].requires_grad_()
        fused = fuse(fusion, values, present)
        assert torch.isfinite(fused).all()
        for part, block in blocks(fusion, fused).items():
            members = [m for m in part.split("*") if m in present]
            for m in members:
                assert not block[~present[m]].any()
        fused.sum().backward()
        for m in modalities:
            grad = values[m].grad
            assert grad is None or (
                torch.isfinite(grad).all() and not grad[~present[m]].any()
            )
        for i in range(patients):
            alone = fuse(
                fusion,
                {m: value[i : i + 1] for m, value in values.items()},
                {m: there[i : i + 1] for m, there in present.items()},
            )
            torch.testing.assert_close(alone[0], fused[i])


def test_pair_widths_tell_encoded_from_raw() -> None:
    assert make("pairwise").parts == {
        "a*b": 4,
        "a*c": 2,
        "a*d": 2,
        "b*c": 2,
        "b*d": 2,
        "c*d": 2,
    }
    assert make("pairwise", {"a": 4, "b": 3}).parts == {"a*b": 4}
    assert FusionSizes(pair_width=7).pair(encoded=False) == 7


def test_unknown_fusion_is_refused_also_for_a_single_modality() -> None:
    with pytest.raises(
        ConfigError,
        match="unknown fusion 'sum'; known: coattention, concat, gated",
    ):
        build_fusion("sum", {"a": 1}, (), SIZES)


def test_parameter_table_counts() -> None:
    rows = parameter_table({"a": 2, "b": 3}).splitlines()
    assert len(rows) == 2 + len(FUSIONS)
    assert "| `concat` | 5 | 0 | 6 |" in rows
    assert "| `late` | 2 | 7 | 10 |" in rows
    assert "| `tensor` | 11 | 0 | 12 |" in rows
    assert "| `lowrank_tensor` | 16 | 112 | 129 |" in rows
