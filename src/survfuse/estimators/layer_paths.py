"""Layers of an encoder of vectors, followed along straight lines between two inputs.

On the way between two points of a line the output of a unit ``max(0, h)`` rises by the ratio
``(max(0, h2) − max(0, h1)) / (h2 − h1)`` times what ``h`` rises by: its mean slope, which for the
first layer is exact. These ratios, passed back through the layers (the rescale rule of DeepLIFT,
Shrikumar 2017, arXiv 1704.02685), add up to the whole change of the output over every interval,
and become the gradient where intervals are short.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from survfuse._types import FloatArray
from survfuse.estimators.model_parts import Path


def embedded_along(
    layers: Sequence[nn.Linear],
    path: Path,
) -> Tensor:
    """Embed the middle of each interval of a path; (intervals, patients, width)."""
    with torch.no_grad():
        return torch.relu(_sums(layers, path, path.middles)[-1])


def pulled_back(
    layers: Sequence[nn.Linear],
    path: Path,
    weights: Tensor,
) -> FloatArray:
    """Mean over intervals of the slope of weighted embeddings; (patients, features).

    Parameters
    ----------
    layers : sequence of Linear
        In double precision, a ReLU after each.
    path : Path
    weights : Tensor, (intervals, patients, width)
        Of the embeddings in each interval.
    """
    with torch.no_grad():
        sums = _sums(layers, path, path.edges)
        for layer, edges in zip(reversed(layers), reversed(sums), strict=True):
            weights = weights * _mean_slope(edges)
            if layer is not layers[0]:
                weights = weights @ layer.weight
        return (weights.mean(dim=0) @ layers[0].weight).numpy()


def _sums(
    layers: Sequence[nn.Linear],
    path: Path,
    at: FloatArray,
) -> list[Tensor]:
    """What each layer gives before its ReLU; (points, patients, units) each.

    The first is linear along a line and computed at both ends alone.
    """
    ends = layers[0](torch.from_numpy(np.concatenate([path.start[None], path.stop])))
    share = torch.from_numpy(at)[:, None, None]
    sums = [ends[:1] + share * (ends[1:] - ends[:1])]
    for layer in layers[1:]:
        sums.append(layer(torch.relu(sums[-1])))
    return sums


def _mean_slope(sums: Tensor) -> Tensor:
    """Mean slope of the ReLU between neighbours; (points − 1, patients, units)."""
    before, after = sums[:-1], sums[1:]
    rise = after - before
    moves = rise.abs() > 1e-12
    ratio = (torch.relu(after) - torch.relu(before)) / torch.where(moves, rise, 1.0)
    return torch.where(moves, ratio, (before + after > 0).to(sums.dtype))
