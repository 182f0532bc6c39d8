"""Where the next trial is looked for: along a grid, or where Optuna expects most."""

from __future__ import annotations

from typing import Any, Protocol

from survfuse._errors import MissingExtraError
from survfuse.config import FitConfig, SearchRange
from survfuse.tuning.space import Space, Values, grid_points


class Sampler(Protocol):
    """Proposes values, and hears how they did; the same answers make it propose the same again."""

    possible: int | None
    """How many combinations there are; None where a range is searched."""

    def ask(self) -> Values | None:
        """Propose values of the searched fields, or None when there is nothing left to try."""
        ...

    def tell(self, score: float | None) -> None:
        """Score of the last proposal, larger is better; None where it failed."""
        ...


class GridSampler:
    """Every combination in turn, or a seeded choice of them where they are more than `search_trials`."""

    def __init__(self, space: Space, config: FitConfig) -> None:
        self.possible: int | None
        points, self.possible = grid_points(space, config.search_trials, config.seed)
        self._points = iter(points if space else ())

    def ask(self) -> Values | None:
        """See :class:`Sampler`."""
        return next(self._points, None)

    def tell(self, score: float | None) -> None:
        """See :class:`Sampler`; a grid does not listen."""


class OptunaSampler:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), seeded.

    Raises
    ------
    MissingExtraError
        Without optuna.
    """

    possible: int | None = None

    def __init__(self, space: Space, config: FitConfig) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError(
                "search: 'optuna' needs optuna: pip install 'survfuse[tune]' (search: grid does without)",
            ) from error
        self._space, self._failed = space, optuna.trial.TrialState.FAIL
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(
            optuna.logging.WARNING,
        )  # it would log every trial; ours are kept
        try:
            sampler = optuna.samplers.TPESampler(seed=config.seed)
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(before)
        self._trial: Any = None

    def ask(self) -> Values | None:
        """See :class:`Sampler`."""
        if not self._space:
            return None
        self._trial = self._study.ask()
        return {
            name: self._suggest(name, options) for name, options in self._space.items()
        }

    def _suggest(self, name: str, options: SearchRange | tuple[Any, ...]) -> Any:
        if not isinstance(
            options,
            SearchRange,
        ):  # by place: options may be lists, which optuna does not know
            return options[
                self._trial.suggest_categorical(name, tuple(range(len(options))))
            ]
        if options.whole:
            return self._trial.suggest_int(
                name,
                int(options.low),
                int(options.high),
                log=options.log,
            )
        return self._trial.suggest_float(
            name,
            options.low,
            options.high,
            log=options.log,
        )

    def tell(self, score: float | None) -> None:
        """See :class:`Sampler`."""
        if score is None:
            self._study.tell(self._trial, state=self._failed)
        else:
            self._study.tell(self._trial, score)


def make_sampler(space: Space, config: FitConfig) -> Sampler:
    """Make the sampler that `search` names."""
    return (
        OptunaSampler(space, config)
        if config.search == "optuna"
        else GridSampler(space, config)
    )
