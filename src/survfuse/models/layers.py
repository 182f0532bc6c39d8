"""Linear layers and dropout, the same as torch's, made faster on a CPU.

Three costs of a training step are not arithmetic: MKL leaves AVX-512 alone on AMD
processors, where oneDNN does not; a fresh gradient of 40 million numbers costs more
in page faults than in products; and torch draws its dropout masks one number at a
time, and compares and casts them slowly. Figures: ``benchmarks/training.py``.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

LARGE_PRODUCT = 2**25
"""Multiplications from which oneDNN is asked; below it, calling it costs more than it saves."""
LARGE_WEIGHT = 2**22
"""Weights from which a gradient is worth keeping: the next one is added to it in place."""
MASK_LEVELS = 2**16
"""A dropout rate is rounded to a multiple of one over this."""


class Linear(nn.Linear):
    """``x W^T + b``, as :class:`torch.nn.Linear`.

    Notes
    -----
    Large products in float32 on a CPU take another kernel. There, a large weight
    whose `grad` is already a tensor gets its gradient added to that tensor during
    ``backward()``, and nothing is handed to hooks on that weight or to `torch.autograd.grad`.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Map (rows, in) -> (rows, out)."""
        plain = (
            rows.device.type == "cpu"
            and rows.dtype == self.weight.dtype == torch.float32
        )
        if (
            plain
            and rows.ndim == 2
            and len(rows) * self.weight.numel() >= LARGE_PRODUCT
        ):
            return cast(Tensor, _Affine.apply(rows, self.weight, self.bias))  # type: ignore[no-untyped-call]
        return super().forward(rows)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return times_transposed(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        upstream: Tensor,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        for_rows = times_transposed(upstream, weight.t()) if wanted[0] else None
        for_weight = _weight_gradient(upstream, rows, weight) if wanted[1] else None
        return for_rows, for_weight, upstream.sum(0) if wanted[2] else None


def _weight_gradient(upstream: Tensor, rows: Tensor, weight: Tensor) -> Tensor | None:
    """Gradient of the weight, or None where it was added to the one that is there."""
    if weight.grad is not None and weight.numel() >= LARGE_WEIGHT:
        weight.grad.addmm_(upstream.t(), rows)
        return None
    return times_transposed(upstream.t(), rows.t())


def times_transposed(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``left right^T + bias``: (a, k) and (b, k) -> (a, b), by oneDNN where torch has it."""
    if _ONEDNN is None:
        return functional.linear(left, right, bias)
    return cast(Tensor, _ONEDNN(left, right, bias, "none", [], ""))


def affine(rows: Tensor, weight: Tensor, bias: Tensor, *, relu: bool = False) -> Tensor:
    """Compute ``rows weight^T + bias``, after a ReLU if asked, without a graph.

    Parameters
    ----------
    rows : Tensor, (rows, in)
        All three of one float type.
    weight : Tensor, (out, in)
    bias : Tensor, (out,)
    relu : bool
        Where oneDNN computes, this is part of the product.
    """
    if (
        _ONEDNN is not None
        and rows.device.type == "cpu"
        and rows.dtype in _ONEDNN_TYPES
        and len(rows)
    ):
        return cast(
            Tensor,
            _ONEDNN(rows, weight, bias, "relu" if relu else "none", [], ""),
        )
    made = functional.linear(rows, weight, bias)
    return made.relu_() if relu else made


def outer_sum(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left^T right`` to `total` (a, b), float32: (rows, a) and (rows, b) of one float type."""
    if left.dtype == total.dtype:
        total.addmm_(left.t(), right)
    else:
        total.add_(
            left.t().contiguous() @ right,
        )  # laid out anew, bfloat16 takes half the time


_ONEDNN_TYPES = (torch.float32, torch.bfloat16)


def _find_onednn() -> Any:
    """Torch's own door to oneDNN's product (its compiler uses it); None where it is absent or has changed."""
    try:
        product = torch.ops.mkldnn._linear_pointwise
        ones = product(
            torch.ones(2, 3),
            torch.ones(4, 3),
            torch.ones(4),
            "none",
            [],
            "",
        )
    except (AttributeError, RuntimeError, TypeError):
        return None
    return product if torch.equal(ones, torch.full((2, 4), 4.0)) else None


_ONEDNN = _find_onednn()


class Dropout(nn.Dropout):
    """Zero numbers with chance `p`, divide the rest by the chance to stay, as :class:`torch.nn.Dropout`."""

    def forward(self, values: Tensor) -> Tensor:
        """Drop elements while training."""
        cut = _cut(self.p)
        if not self.training or cut == 0 or values.device.type != "cpu":
            return super().forward(values)
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(
            -(2**63),
            None,
        )
        stay = _at_least(words.numpy(), cut, values.shape)
        return values * stay.to(values.dtype).mul_(MASK_LEVELS / (MASK_LEVELS - cut))


class Masks:
    """Dropout masks from a seed, one after another; the same seed, device and shapes give the same.

    Parameters
    ----------
    seed : int, >= 0
    device : torch.device
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self._words = np.random.SFC64(seed)
        self._generator = (
            None if device.type == "cpu" else torch.Generator(device).manual_seed(seed)
        )

    def kept(self, shape: torch.Size, rate: float) -> Tensor:
        """Draw what a dropout of `rate` keeps: uint8 of `shape`, 1 or 0."""
        if self._generator is not None:
            draw = torch.rand(shape, device=self.device, generator=self._generator)
            return (draw >= rate).view(torch.uint8)
        return _at_least(
            self._words.random_raw(-(-shape.numel() // 4)),
            _cut(rate),
            shape,
        )


def _cut(rate: float) -> int:
    """Levels that are dropped."""
    return min(round(rate * MASK_LEVELS), MASK_LEVELS - 1)


def _at_least(words: npt.NDArray[Any], cut: int, shape: torch.Size) -> Tensor:
    """1 where a level is not dropped, else 0: uint8 (torch reads bool slowly), four levels from each word."""
    levels = words.view(np.int16)[: shape.numel()]
    return torch.from_numpy((levels >= cut - MASK_LEVELS // 2).view(np.uint8)).view(
        shape,
    )
