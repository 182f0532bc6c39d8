"""Dropout that is faster than torch's does what torch's does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from survfuse.models.layers import Dropout, Masks


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
    first, second = masks.draw(shape, rate), masks.draw(shape, rate)
    assert set(first.unique().tolist()) == {0, 1}
    wanted = pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / first.numel()) ** 0.5)
    assert float(first.float().mean()) == wanted
    assert torch.equal(first, again.draw(shape, rate))
    for unrelated in (second, other.draw(shape, rate), first.roll(1)):
        pair = torch.stack([first.flatten(), unrelated.flatten()]).float()
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.006


def test_masks_of_another_device_keep_their_rate_too() -> None:
    """The way a GPU draws, with a generator of the processor."""
    masks = Masks(5, torch.device("cpu"))
    masks._generator = torch.Generator().manual_seed(5)
    first = masks.draw(torch.Size([400, 500]), 0.25)
    assert first.dtype == torch.uint8
    assert float(first.float().mean()) == pytest.approx(0.75, abs=0.005)
    assert not torch.equal(first, masks.draw(first.shape, 0.25))


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
