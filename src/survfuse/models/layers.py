"""Dropout as torch's, with masks that a CPU draws faster.

Torch draws its dropout masks one number at a time, and compares and casts them slowly. Here four
16-bit levels come from each random 64-bit word. Figures: ``benchmarks/training.py``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._types import AnyArray

MASK_LEVELS = 2**16
"""A dropout rate is rounded to a multiple of one over this."""


class Dropout(nn.Dropout):
    """Zero numbers with chance `p`, divide the rest by ``1 - p``, as :class:`torch.nn.Dropout`."""

    def forward(self, values: Tensor) -> Tensor:
        """Drop elements while training."""
        dropped = _dropped_levels(self.p)
        if not self.training or dropped == 0 or values.device.type != "cpu":
            return super().forward(values)
        bits = torch.empty(-(-values.numel() // 4), dtype=torch.int64)
        mask = _mask(bits.random_(-(2**63), None).numpy(), dropped, values.shape)
        return values * mask.to(values.dtype).mul_(
            MASK_LEVELS / (MASK_LEVELS - dropped),
        )


class Masks:
    """Dropout masks from a seed, one after another; same seed, device and shapes: same masks.

    Parameters
    ----------
    seed : int, >= 0
    device : torch.device
    """

    def __init__(
        self,
        seed: int,
        device: torch.device,
    ) -> None:
        self.device = device
        self._bits = np.random.SFC64(seed)
        self._generator = None
        if device.type != "cpu":
            self._generator = torch.Generator(device).manual_seed(seed)

    def draw(self, shape: torch.Size, rate: float) -> Tensor:
        """Draw the mask of a dropout of `rate`: uint8 of `shape`, 0 where a number is dropped."""
        if self._generator is not None:
            draw = torch.rand(
                shape,
                device=self.device,
                generator=self._generator,
            )
            return (draw >= rate).view(torch.uint8)
        bits = self._bits.random_raw(-(-shape.numel() // 4))
        return _mask(bits, _dropped_levels(rate), shape)


def _dropped_levels(rate: float) -> int:
    return min(round(rate * MASK_LEVELS), MASK_LEVELS - 1)


def _mask(
    bits: AnyArray,
    dropped: int,
    shape: torch.Size,
) -> Tensor:
    """0 where a level is dropped, else 1; uint8, because torch reads bool slowly."""
    levels = bits.view(np.int16)[: shape.numel()]
    mask = (levels >= dropped - MASK_LEVELS // 2).view(np.uint8)
    return torch.from_numpy(mask).view(shape)
