"""What may be tried: the space that was given, or a sensible one for the kind of model."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from survfuse.config import FitConfig, SearchRange

Space = Mapping[str, SearchRange | tuple[Any, ...]]
Values = dict[str, Any]

RANKED = (
    "pairwise",
    "pairwise_residual",
    "hierarchical",
    "lowrank_tensor",
    "gated",
    "coattention",
)


def space_of(config: FitConfig, kinds: Collection[str]) -> Space:
    """Space that the configuration gives, or the built-in one.

    Parameters
    ----------
    config : FitConfig
    kinds : collection of str
        Kinds of the modalities that are read: ``bag``, ``clinical``, ``expression``, ``table``.

    Returns
    -------
    mapping of field to options
        Empty where the kind of model has nothing to choose, such as `anchored` of clinical columns.
    """
    if config.search_space is not None:
        return config.search_space
    return (
        _of_anchored(config, kinds)
        if config.fusion == "anchored"
        else _of_network(config)
    )


def _of_anchored(config: FitConfig, kinds: Collection[str]) -> Space:
    """Options of a convex fit; a bag's attention is none, because `anchor_bags: best` weighs it anyway."""
    found: dict[str, tuple[Any, ...]] = {}
    if "expression" in kinds:
        if config.expression_components is not None:
            found["expression_components"] = (16, 32, 64)
        found["anchor_vectors"] = ("components", "sparse")
    if "bag" in kinds and config.bag_components is not None:
        found["bag_components"] = (16, 64)
    return found


def _of_network(config: FitConfig) -> Space:
    """Step size and decay around those given, dropout, and the rank of fusions that have one."""
    rates: dict[str, SearchRange | tuple[Any, ...]] = {}
    for name in ("learning_rate", "weight_decay"):
        given = float(getattr(config, name))
        if given > 0:
            rates[name] = (
                SearchRange(low=given / 10, high=given * 10, log=True)
                if config.search == "optuna"
                else (float(f"{given / 3:.3g}"), given, float(f"{given * 3:.3g}"))
            )
    rates["dropout"] = (
        SearchRange(low=0.0, high=0.7) if config.search == "optuna" else (0.25, 0.5)
    )
    return {**rates, **({"rank": (4, 16)} if config.fusion in RANKED else {})}


def grid_points(space: Space, most: int, seed: int) -> tuple[list[Values], int]:
    """All combinations of the options, or `most` of them drawn with the seed, and how many there are."""
    options = {
        name: choice
        for name, choice in space.items()
        if not isinstance(choice, SearchRange)
    }
    sizes = [len(choice) for choice in options.values()]
    count = math.prod(sizes)
    places = sorted(
        random.Random(seed).sample(range(count), min(most, count)),
    )  # never lists them all
    return [_point(options, sizes, place) for place in places], count


def _point(
    options: Mapping[str, Sequence[Any]],
    sizes: Sequence[int],
    place: int,
) -> Values:
    """The combination at a place, the last option turning fastest."""
    chosen: dict[str, Any] = {}
    for name, size in zip(reversed(list(options)), reversed(sizes), strict=True):
        place, step = divmod(place, size)
        chosen[name] = options[name][step]
    return dict(reversed(chosen.items()))
