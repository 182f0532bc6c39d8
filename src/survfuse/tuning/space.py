"""What a search may try, and in which order: along a grid, or where Optuna expects most."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from survfuse._errors import MissingExtraError
from survfuse.config import FitConfig, SearchRange

Options = SearchRange | tuple[Any, ...]
Space = Mapping[str, Options]
Values = dict[str, Any]

RANKED = (
    "pairwise",
    "pairwise_residual",
    "hierarchical",
    "lowrank_tensor",
    "gated",
    "coattention",
)
"""Fusions whose size is their rank."""


def space_of(
    config: FitConfig,
    kinds: Collection[str],
) -> Space:
    """Space that the configuration gives, or the built-in one.

    Parameters
    ----------
    config : FitConfig
    kinds : collection of str
        Kinds of the modalities that are read: ``bag``, ``clinical``, ``expression``, ``table``.

    Returns
    -------
    mapping of parameter to options
        Empty where the kind of model has nothing to choose, such as `anchored` of clinical columns.
    """
    if config.search.space is not None:
        return config.search.space
    return (
        _stack_space(config, kinds)
        if config.fusion == "anchored"
        else _network_space(config)
    )


def _stack_space(
    config: FitConfig,
    kinds: Collection[str],
) -> Space:
    """Options of a stack of Cox models; `stack.bags: best` compares those of a bag anyway."""
    space: dict[str, Options] = {}
    if "expression" in kinds:
        if config.inputs.expression_components is not None:
            space["expression_components"] = (16, 32, 64)
        space["anchor_vectors"] = ("components", "sparse")
    if "bag" in kinds and config.inputs.bag_components is not None:
        space["bag_components"] = (16, 64)
    return space


def _network_space(config: FitConfig) -> Space:
    """Step size and decay around those given, dropout, and the rank of fusions that have one."""
    space: dict[str, Options] = {}
    in_ranges = config.search.method == "optuna"
    training = config.training
    for name, given in (
        ("learning_rate", training.learning_rate),
        ("weight_decay", training.weight_decay),
    ):
        if given == 0:
            continue
        if in_ranges:
            space[name] = SearchRange(
                low=given / 10,
                high=given * 10,
                log=True,
            )
        else:
            space[name] = (float(f"{given / 3:.3g}"), given, float(f"{given * 3:.3g}"))
    space["dropout"] = SearchRange(low=0.0, high=0.7) if in_ranges else (0.25, 0.5)
    if config.fusion in RANKED:
        space["rank"] = (4, 16)
    return space


def grid_points(
    space: Space,
    limit: int,
    seed: int,
) -> tuple[list[Values], int]:
    """All combinations of the options, or `limit` of them drawn with the seed; and their number."""
    options = {
        name: values for name, values in space.items() if isinstance(values, tuple)
    }
    sizes = [len(values) for values in options.values()]
    count = math.prod(sizes)
    # A sample of a range never lists all combinations.
    chosen = sorted(random.Random(seed).sample(range(count), min(limit, count)))
    points = []
    for number in chosen:
        indices = np.unravel_index(number, sizes)  # the last option changes fastest
        point = {}
        for name, index in zip(options, indices, strict=True):
            point[name] = options[name][index]
        points.append(point)
    return points, count


class GridSampler:
    """Every combination in turn, or a seeded choice of them if more than `search.trials`."""

    def __init__(
        self,
        space: Space,
        config: FitConfig,
    ) -> None:
        self.possible: int | None  # combinations; None for a range
        points, self.possible = grid_points(
            space,
            config.search.trials,
            config.training.seed,
        )
        self._points = iter(points if space else ())

    def propose(self) -> Values | None:
        """Propose values of the searched fields, or None when all were proposed."""
        return next(self._points, None)

    def record(self, score: float | None) -> None:
        """Take the score of the last proposal, which a grid does not need."""


class OptunaSampler(GridSampler):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), seeded.

    Raises
    ------
    MissingExtraError
        Without optuna.
    """

    def __init__(
        self,
        space: Space,
        config: FitConfig,
    ) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError(
                "search: 'optuna' needs optuna: pip install 'survfuse[tune]' "
                "(search: grid does without)",
            ) from error
        self.possible = None
        self._space = space
        self._distributions: dict[str, Any] = {}
        for name, options in space.items():
            if isinstance(options, tuple):  # by index: an option may be a list
                kind: Any = optuna.distributions.CategoricalDistribution(
                    range(len(options)),
                )
            elif options.whole:
                kind = optuna.distributions.IntDistribution(
                    int(options.low),
                    int(options.high),
                    log=options.log,
                )
            else:
                kind = optuna.distributions.FloatDistribution(
                    options.low,
                    options.high,
                    log=options.log,
                )
            self._distributions[name] = kind
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would log every trial
        try:
            sampler = optuna.samplers.TPESampler(seed=config.training.seed)
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(verbosity)
        self._failed = optuna.trial.TrialState.FAIL
        self._trial: Any = None

    def propose(self) -> Values | None:
        """Propose values of the searched fields; None where there are no fields."""
        if not self._space:
            return None
        self._trial = self._study.ask(self._distributions)
        values: Values = dict(self._trial.params)
        for name, options in self._space.items():
            if isinstance(options, tuple):
                values[name] = options[values[name]]
        return values

    def record(self, score: float | None) -> None:
        """Take the score of the last proposal, larger is better; None where it failed."""
        if score is None:
            self._study.tell(self._trial, state=self._failed)
        else:
            self._study.tell(self._trial, score)
