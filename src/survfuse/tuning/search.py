"""The search: trials scored on inner folds, within a budget, each kept as soon as it is done."""

from __future__ import annotations

import time as clock
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from survfuse._digests import Header, recall_json, write_kept_json
from survfuse._errors import (
    CohortError,
    ConfigError,
    InputError,
    NotComputableError,
    SurvfuseError,
    TransformError,
    listed,
)
from survfuse._gate import boundary
from survfuse.config import FitConfig, build
from survfuse.tuning.samplers import make_sampler
from survfuse.tuning.space import Values, space_of

FORMAT, VERSION = "survfuse-trial", 2
OTHER = "a trial of another fit (config, patients or data differ); delete it"
MOST_REPEATS = 50  # proposals in a row that were tried before; a small space is then taken to be exhausted
CRITERION = "log partial likelihood out of fold, per event, above that of no risk"

Evaluate = Callable[[FitConfig, str], tuple[float, Sequence[int]]]
"""(configuration, label) -> score, larger is better, and epochs of each member."""


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried.

    Attributes
    ----------
    number : int
        From 0, the configuration as given.
    values : mapping
        Of the searched fields.
    state : str
        ``done`` or ``failed``.
    score : float or None
        `CRITERION`; None where it failed.
    epochs : sequence of int
        Of each member; empty under `anchored`.
    seconds : float
    reason : str
        Why it failed.
    """

    number: int
    values: Values
    state: str
    score: float | None
    epochs: Sequence[int]
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """What a search decided.

    Attributes
    ----------
    config : FitConfig
        The chosen configuration; it searches no more.
    log : mapping
        `how`, `space`, `criterion`, `possible`, `trials`, `chosen` (a trial's number), `values`, `stopped`
        and `note`: plain values.
    """

    config: FitConfig
    log: Mapping[str, Any]


def search(
    config: FitConfig,
    kinds: Collection[str],
    evaluate: Evaluate,
    *,
    folder: Path | None = None,
    key: str = "",
) -> Found:
    """Try configurations and choose the best; the first is the one given, and wins a tie.

    Parameters
    ----------
    config : FitConfig
        Its search section, and what every trial starts from.
    kinds : collection of str
        Kinds of the modalities that are read.
    evaluate : callable
        Scores a configuration on inner folds. What cannot be fitted or computed makes the trial a failed one.
    folder : path, optional
        Where finished trials are kept; those found there whole are not computed again.
    key : str
        Identity of the fit; trials of another are refused.

    Raises
    ------
    MissingExtraError
        For `search: optuna` without optuna.
    InputError
        When the folder holds trials of another fit.
    SurvfuseError
        When all trials failed: the first one's reason.
    """
    space = space_of(config, kinds)
    sampler = make_sampler(space, config)
    run = _Run(config, evaluate, folder, key)
    given = {name: getattr(config, name) for name in space}
    run.attempt(given)
    stopped, repeats = "", 0
    while not stopped:
        if len(run.trials) >= config.search_trials:
            stopped = "search_trials"
        elif config.search_seconds is not None and run.seconds >= config.search_seconds:
            stopped = "search_seconds"
        elif repeats >= MOST_REPEATS or (values := sampler.ask()) is None:
            stopped = "nothing left"
        else:
            known = run.known(values)
            repeats = repeats + 1 if known else 0
            sampler.tell((known or run.attempt(values)).score)
    return run.found(space, sampler.possible, stopped)


class _Run:
    def __init__(
        self,
        config: FitConfig,
        evaluate: Evaluate,
        folder: Path | None,
        key: str,
    ) -> None:
        self.config, self.evaluate, self.folder, self.key = (
            config,
            evaluate,
            folder,
            key,
        )
        self.trials: list[Trial] = []
        self._error: SurvfuseError | None = None

    @property
    def seconds(self) -> float:
        return sum(trial.seconds for trial in self.trials)

    def known(self, values: Values) -> Trial | None:
        wanted = _plain(values)
        return next((trial for trial in self.trials if trial.values == wanted), None)

    def attempt(self, values: Values) -> Trial:
        """Compute a trial, or read it where it was finished before."""
        number = len(self.trials)
        place = None if self.folder is None else trial_file(self.folder, number)
        trial = None if place is None else self._read(place, values)
        if trial is None:
            trial = self._compute(number, values)
            if place is not None:
                write_kept_json(place, self._header, {"trial": asdict(trial)})
        self.trials.append(trial)
        return trial

    def _compute(self, number: int, values: Values) -> Trial:
        started = clock.perf_counter()
        try:
            tried = with_values(self.config, values, number)
            score, epochs = self.evaluate(tried, f"trial {number}, ")
        except (ConfigError, CohortError, TransformError, NotComputableError) as error:
            self._error = self._error or error
            return Trial(
                number,
                _plain(values),
                "failed",
                None,
                [],
                clock.perf_counter() - started,
                str(error),
            )
        return Trial(
            number,
            _plain(values),
            "done",
            float(score),
            list(epochs),
            clock.perf_counter() - started,
        )

    @property
    def _header(self) -> Header:
        return {"format": FORMAT, "version": VERSION, "key": self.key}

    def _read(self, place: Path, values: Values) -> Trial | None:
        kept = recall_json(place, self._header, OTHER)
        if kept is None:
            return None
        with boundary(place, "a trial", remedy="delete it to start over"):
            trial = Trial(**kept["trial"])
        return trial if trial.values == _plain(values) else None

    def found(
        self,
        space: Mapping[str, Any],
        possible: int | None,
        stopped: str,
    ) -> Found:
        done = [trial for trial in self.trials if trial.score is not None]
        if not done:
            raise self._error or InputError(
                f"all trials failed: {self.trials[0].reason}",
            )
        best = max(done, key=lambda trial: (trial.score, -trial.number))
        log = {
            "how": self.config.search,
            "space": {name: _plain(options) for name, options in space.items()},
            "criterion": CRITERION,
            "inner_folds": self.config.selection_folds,
            "possible": possible,
            "trials": [asdict(trial) for trial in self.trials],
            "chosen": best.number,
            "values": best.values,
            "stopped": stopped,
            "seconds": self.seconds,
            "note": _note(self.config, self.trials, stopped, bool(space)),
        }
        return Found(with_values(self.config, best.values, best.number), log)


def with_values(config: FitConfig, values: Values, number: int) -> FitConfig:
    """Make the configuration of a trial; it searches no more.

    Raises
    ------
    ConfigError
        When the values do not go together.
    """
    told = {**config.model_dump(), **values, "search": "none", "search_space": None}
    return build(FitConfig, told, where=f"trial {number}")


def trial_file(folder: Path, number: int) -> Path:
    """Where a finished trial is kept."""
    return folder / f"trial-{number}.json"


def _plain(values: Any) -> Any:
    """Values as JSON gives them back."""
    if hasattr(values, "model_dump"):
        return values.model_dump(mode="json")
    if isinstance(values, Mapping):
        return {name: _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return str(values) if isinstance(values, Path) else values


def _note(
    config: FitConfig,
    trials: Sequence[Trial],
    stopped: str,
    anything: bool,
) -> str:
    if not anything:
        return "this model has nothing to search; it was fitted as given"
    failed = sum(trial.state == "failed" for trial in trials)
    notes = [f"{failed} of {len(trials)} trials failed" if failed else ""]
    if stopped == "search_seconds":
        notes.append(
            f"{config.search_seconds:g} seconds were over after {len(trials)} trials; another machine "
            "may choose otherwise",
        )
    return "; ".join(filter(None, notes))


# -- in words


def search_told(log: Mapping[str, Any]) -> str:
    """One sentence on a search, for people."""
    chosen = _values_told(log["values"]) or "the model as given"
    trials = len(log["trials"])
    told = f"{log['how']} search, {trials} trial{'s' if trials != 1 else ''} on inner folds: {chosen}"
    return f"{told}; {log['note']}" if log["note"] else told


def searches_told(logs: Sequence[Mapping[str, Any]]) -> str:
    """One sentence on the searches of several fits: how they were made, and how often what was chosen."""
    first = logs[0]
    trials = sorted({len(log["trials"]) for log in logs})
    span = f"{trials[0]}" if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
    chosen = Counter(_values_told(log["values"]) or "as given" for log in logs)
    often = "; ".join(
        f"{values} ({times} of {len(logs)} fits)"
        for values, times in chosen.most_common(3)
    )
    notes = listed(dict.fromkeys(log["note"] for log in logs if log["note"]), 2)
    return (
        f"Hyper-parameters were searched in every fit ({first['how']}, {span} trials) by the "
        f"{first['criterion']}, on the {first['inner_folds']} inner folds of the training patients. "
        f"Chosen: {often}.{f' Notes: {notes}.' if notes else ''}"
    )


def _values_told(values: Mapping[str, Any]) -> str:
    shown = (
        (name, f"{value:.3g}" if isinstance(value, float) else value)
        for name, value in values.items()
    )
    return ", ".join(f"{name} {value}" for name, value in shown)
