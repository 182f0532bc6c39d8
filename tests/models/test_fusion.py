"""One contract over every fusion."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor

from survfuse._errors import ConfigError
from survfuse.models import fusion as module
from survfuse.models.fusion import FUSIONS, Concat, Fusion, FusionSizes, build_fusion

WIDTHS = {"a": 4, "b": 3, "c": 2, "d": 5}
SIZES = FusionSizes(rank=3, pair_width=4, raw_pair_width=2, residual_width=6)


def embeddings(patients: int = 6) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(patients, width, generator=generator) for name, width in WIDTHS.items()}


def everyone(patients: int = 6) -> dict[str, Tensor]:
    return {name: torch.ones(patients, dtype=torch.bool) for name in WIDTHS}


def make(name: str, widths: dict[str, int] | None = None) -> Fusion:
    torch.manual_seed(0)
    return build_fusion(name, widths or WIDTHS, {"a", "b"}, SIZES)


def test_every_fusion_class_is_registered() -> None:
    classes = {
        value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Fusion)
    } - {Fusion}
    assert {card.build for card in FUSIONS.values()} == classes
    assert set(FUSIONS) == {"concat", "pairwise", "pairwise_residual"}


@pytest.mark.parametrize("name", FUSIONS)
class TestContract:
    def test_card_and_width(self, name: str) -> None:
        fusion = make(name)
        assert FUSIONS[name].summary
        assert FUSIONS[name].source
        fused = fusion(embeddings(), everyone())
        assert fused.shape == (6, fusion.width)
        assert fusion.width == sum(fusion.parts.values())

    @pytest.mark.parametrize("missing", WIDTHS)
    def test_missing_modality_vanishes(self, name: str, missing: str) -> None:
        """Its columns are zero, its content (even NaN) is not read, and it gets no gradient at all."""
        fusion = make(name)
        given = {key: value.requires_grad_() for key, value in embeddings().items()}
        present = everyone()
        present[missing] = torch.tensor([False, True, False, False, True, False])
        gone = ~present[missing]
        fused = fusion(given, present)
        fused.square().sum().backward()
        grad = given[missing].grad
        assert grad is not None
        assert torch.equal(grad[gone], torch.zeros_like(grad[gone]))
        assert (grad[~gone] != 0).any()
        start = 0
        for part, width in fusion.parts.items():
            if missing in part.split("*"):
                assert torch.equal(fused[gone, start : start + width], torch.zeros(4, width))
            start += width
        spoiled = {key: value.detach().clone() for key, value in given.items()}
        spoiled[missing][gone] = torch.nan
        assert torch.equal(fusion(spoiled, present), fused)

    @pytest.mark.parametrize("missing", WIDTHS)
    def test_weights_of_a_modality_that_nobody_has_get_no_gradient(self, name: str, missing: str) -> None:
        fusion = make(name)
        present = everyone()
        present[missing] = torch.zeros(6, dtype=torch.bool)
        leaves = {key: value.requires_grad_() for key, value in embeddings().items()}
        fusion(leaves, present).square().sum().backward()
        for key, parameter in fusion.named_parameters():
            if key.startswith("pairs.") and missing in key.split(".")[1].split("*"):
                assert parameter.grad is None or not parameter.grad.any(), key

    def test_patient_with_nothing_fuses_to_zeros(self, name: str) -> None:
        nobody = {key: torch.zeros(6, dtype=torch.bool) for key in WIDTHS}
        fusion = make(name)
        assert torch.equal(fusion(embeddings(), nobody), torch.zeros(6, fusion.width))

    def test_single_modality_is_its_own_embedding(self, name: str) -> None:
        fusion = make(name, {"b": 3})
        assert isinstance(fusion, Concat)
        values = embeddings()["b"]
        assert torch.equal(fusion({"b": values}, {"b": torch.ones(6, dtype=torch.bool)}), values)

    def test_permuting_patients_permutes_rows(self, name: str) -> None:
        fusion, order = make(name), torch.tensor([3, 1, 5, 0, 2, 4])
        given, present = embeddings(), everyone()
        present["a"] = torch.tensor([True, False, True, True, False, True])
        fused = fusion(given, present)
        again = fusion(
            {key: value[order] for key, value in given.items()},
            {key: value[order] for key, value in present.items()},
        )
        torch.testing.assert_close(again, fused[order])


def test_pair_widths_tell_encoded_from_raw() -> None:
    assert make("pairwise").parts == {"a*b": 4, "a*c": 2, "a*d": 2, "b*c": 2, "b*d": 2, "c*d": 2}
    assert make("pairwise", {"a": 4, "b": 3}).parts == {"a*b": 4}
    assert FusionSizes(pair_width=7).pair(encoded=False) == 7


def test_pair_block_is_the_formula() -> None:
    fusion = make("pairwise", {"a": 4, "b": 3})
    given = embeddings()
    p = {key.split(".", 2)[2]: value.detach() for key, value in fusion.named_parameters()}
    left = given["a"] @ p["left.weight"].T + p["left.bias"]
    right = given["b"] @ p["right.weight"].T + p["right.bias"]
    expected = (left * right) @ p["out.weight"].T + p["out.bias"]
    torch.testing.assert_close(fusion(given, everyone()), expected)


def test_unknown_fusion_is_refused_also_for_a_single_modality() -> None:
    with pytest.raises(ConfigError, match="unknown fusion 'sum'; known: concat, pairwise"):
        build_fusion("sum", {"a": 1}, (), SIZES)
