"""Layers that are faster than torch's compute what torch's do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from survfuse.models import layers
from survfuse.models.layers import LARGE_WEIGHT, Dropout, Linear, Masks

LARGE = (2100, 2000)  # in, out: past LARGE_WEIGHT
SMALL = (64, 600)


def gradients(layer: nn.Linear, rows: Tensor, upstream: Tensor) -> list[Tensor]:
    """Output of a layer, and gradients of its input, weight and bias."""
    leaf = rows.detach().clone().requires_grad_()
    out = layer(leaf)
    out.backward(upstream)
    return [
        value
        for value in (out.detach(), leaf.grad, layer.weight.grad, layer.bias.grad)
        if value is not None
    ]


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "without"])
@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["large weight", "many rows"])
@pytest.mark.parametrize("upstream", ["dense", "expanded", "transposed"])
def test_large_products_equal_those_of_torch(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    upstream: str,
    onednn: bool,
) -> None:
    if not onednn:
        monkeypatch.setattr(layers, "_ONEDNN", None)
    torch.manual_seed(0)
    layer, plain = Linear(*size), nn.Linear(*size)
    plain.load_state_dict(layer.state_dict())
    rows = torch.randn(1000 if size == SMALL else 9, size[0])
    shape = (len(rows), size[1])
    given = {
        "dense": torch.randn(shape),
        "expanded": torch.ones(()).expand(shape),
        "transposed": torch.randn(shape[::-1]).t(),
    }[upstream]
    assert layer(rows).grad_fn.name() != plain(rows).grad_fn.name()
    ours = gradients(layer, rows, given)
    assert len(ours) == 4
    for mine, theirs in zip(
        ours,
        gradients(plain.double(), rows.double(), given.double()),
        strict=True,
    ):
        torch.testing.assert_close(
            mine.double(),
            theirs,
            rtol=1e-5,
            atol=1e-5 * float(theirs.abs().max()),
        )


def test_a_large_gradient_is_added_to_the_one_that_is_there() -> None:
    torch.manual_seed(0)
    layer, rows, upstream = (
        Linear(*LARGE),
        torch.randn(9, LARGE[0]),
        torch.randn(9, LARGE[1]),
    )
    assert layer.weight.numel() >= LARGE_WEIGHT
    once = gradients(layer, rows, upstream)[2].clone()
    kept = layer.weight.grad
    twice = gradients(layer, rows, upstream)[2]
    assert twice is kept
    torch.testing.assert_close(twice, 2 * once)


def test_a_frozen_large_layer_passes_the_gradient_on() -> None:
    layer = Linear(*LARGE).requires_grad_(False)
    rows = torch.randn(9, LARGE[0], requires_grad=True)
    layer(rows).sum().backward()
    torch.testing.assert_close(
        rows.grad,
        layer.weight.sum(0).expand_as(rows),
        rtol=1e-3,
        atol=1e-4,
    )
    assert layer.weight.grad is None


@pytest.mark.parametrize("rate", [0.25, 0.4375, 0.1, 0.9])
def test_dropout_keeps_its_rate_and_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    layer = Dropout(rate)
    out = layer(torch.ones(1001, 999))
    n = out.numel()
    assert float((out == 0).float().mean()) == pytest.approx(
        rate,
        abs=5 * (rate * (1 - rate) / n) ** 0.5,
    )
    assert float(out.max()) == pytest.approx(1 / (1 - rate), rel=1e-3)
    assert float(out.mean()) == pytest.approx(1, abs=5 * (rate / (1 - rate) / n) ** 0.5)


def test_dropout_repeats_under_a_seed_and_neighbours_are_independent() -> None:
    def draw() -> Tensor:
        torch.manual_seed(3)
        return Dropout(0.5)(torch.ones(400_000))

    first = draw()
    assert torch.equal(first, draw())
    kept = (first > 0).float()
    for lag in (1, 2, 3, 4):
        assert (
            abs(float(torch.corrcoef(torch.stack([kept[:-lag], kept[lag:]]))[0, 1]))
            < 0.01
        )


@pytest.mark.parametrize("rate", [0.25, 0.4375, 0.1, 0.9])
def test_masks_keep_their_rate_and_repeat_under_a_seed(rate: float) -> None:
    shape = torch.Size([1001, 999])
    masks, again, other = (Masks(seed, torch.device("cpu")) for seed in (5, 5, 6))
    first, second = masks.kept(shape, rate), masks.kept(shape, rate)
    assert set(first.unique().tolist()) == {0, 1}
    wanted = pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / first.numel()) ** 0.5)
    assert float(first.float().mean()) == wanted
    assert torch.equal(first, again.kept(shape, rate))
    for unrelated in (second, other.kept(shape, rate), first.roll(1)):
        pair = torch.stack([first.flatten(), unrelated.flatten()]).float()
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.006


def test_masks_of_another_device_keep_their_rate_too() -> None:
    """The way a GPU draws, with a generator of the processor."""
    masks = Masks(5, torch.device("cpu"))
    masks._generator = torch.Generator().manual_seed(5)
    first = masks.kept(torch.Size([400, 500]), 0.25)
    assert first.dtype == torch.uint8
    assert float(first.float().mean()) == pytest.approx(0.75, abs=0.005)
    assert not torch.equal(first, masks.kept(first.shape, 0.25))


def test_dropout_at_its_ends() -> None:
    values = torch.randn(50)
    assert torch.equal(Dropout(0.0)(values), values)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.isfinite(Dropout(1 - 1e-9)(values)).all()
    assert Dropout(0.5)(torch.zeros(0, 3)).shape == (0, 3)


def test_dropout_passes_the_gradient_of_what_it_kept() -> None:
    values = torch.ones(1000, requires_grad=True)
    out = Dropout(0.25)(values)
    out.sum().backward()
    torch.testing.assert_close(values.grad, out.detach())
