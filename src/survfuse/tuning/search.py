"""The search: trials scored on inner folds, within a budget, each saved as soon as it is done."""

from __future__ import annotations

import time as clock
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from survfuse._digests import Header, recall_json, write_cached_json
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
from survfuse.tuning.space import GridSampler, OptunaSampler, Values, space_of

FORMAT, VERSION = "survfuse-trial", 2
OTHER_FIT = "a trial of another fit (config, patients or data differ); delete it"
MAX_REPEATS = 50
"""So many proposals in a row that were tried before: a small space is taken to be exhausted."""
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
        Of the searched parameters.
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
class SearchResult:
    """What a search decided.

    Attributes
    ----------
    config : FitConfig
        The chosen configuration; it searches no more.
    log : mapping
        `how`, `space`, `criterion`, `possible`, `trials`, `chosen` (a trial's number), `values`,
        `stopped` and `note`: plain values.
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
) -> SearchResult:
    """Try configurations and choose the best; the first is the one given, and wins a tie.

    Parameters
    ----------
    config : FitConfig
        Its search section, and what every trial starts from.
    kinds : collection of str
        Kinds of the modalities that are read.
    evaluate : callable
        Scores a configuration on inner folds. What cannot be fitted or computed makes the trial a
        failed one.
    folder : path, optional
        Where finished trials are saved; those that are there and whole are not computed again.
    key : str
        Identity of the fit; trials of another are refused.

    Raises
    ------
    MissingExtraError
        For `search.method: optuna` without optuna.
    InputError
        When the folder holds trials of another fit.
    SurvfuseError
        When all trials failed: the first one's reason.
    """
    space = space_of(config, kinds)
    method = OptunaSampler if config.search.method == "optuna" else GridSampler
    sampler = method(space, config)
    trials = _Trials(config, evaluate, folder, key)
    parameters = config.parameters()
    trials.run({name: parameters[name] for name in space})
    stopped, repeats = trials.exhausted_budget(), 0
    while not stopped:
        values = sampler.propose() if repeats < MAX_REPEATS else None
        if values is None:
            stopped = "nothing left"
            break
        trial = trials.with_values(values)
        repeats = 0 if trial is None else repeats + 1
        sampler.record((trial or trials.run(values)).score)
        stopped = trials.exhausted_budget()
    best = trials.best()
    log = {
        "how": config.search.method,
        "space": to_jsonable_python(space),
        "criterion": CRITERION,
        "inner_folds": config.selection.folds,
        "possible": sampler.possible,
        "trials": [asdict(trial) for trial in trials.done],
        "chosen": best.number,
        "values": best.values,
        "stopped": stopped,
        "seconds": trials.seconds,
        "note": trials.note(stopped) if space else NOTHING_TO_SEARCH,
    }
    return SearchResult(with_values(config, best.values, best.number), log)


NOTHING_TO_SEARCH = "this model has nothing to search; it was fitted as given"


class _Trials:
    """The trials of one search, computed or read from its folder."""

    def __init__(
        self,
        config: FitConfig,
        evaluate: Evaluate,
        folder: Path | None,
        key: str,
    ) -> None:
        self.config, self.evaluate, self.folder = config, evaluate, folder
        self.header: Header = {"format": FORMAT, "version": VERSION, "key": key}
        self.done: list[Trial] = []
        self._first_error: SurvfuseError | None = None

    @property
    def seconds(self) -> float:
        return sum(trial.seconds for trial in self.done)

    def exhausted_budget(self) -> str:
        """Name of the limit that is reached; empty where there is none."""
        settings = self.config.search
        if len(self.done) >= settings.trials:
            return "search_trials"
        if settings.seconds is not None and self.seconds >= settings.seconds:
            return "search_seconds"
        return ""

    def with_values(self, values: Values) -> Trial | None:
        """Trial of these values that is done already."""
        plain = to_jsonable_python(values)
        for trial in self.done:
            if trial.values == plain:
                return trial
        return None

    def run(self, values: Values) -> Trial:
        """Compute a trial, or read it where it was finished before."""
        number, plain = len(self.done), to_jsonable_python(values)
        path = None if self.folder is None else trial_file(self.folder, number)
        trial = None
        if path is not None:
            content = recall_json(path, self.header, OTHER_FIT)
            if content is not None:
                with boundary(path, "a trial", remedy="delete it to start over"):
                    trial = Trial(**content["trial"])
        if trial is None or trial.values != plain:
            trial = self._compute(number, values)
            if path is not None:
                write_cached_json(path, self.header, {"trial": asdict(trial)})
        self.done.append(trial)
        return trial

    def _compute(self, number: int, values: Values) -> Trial:
        started = clock.perf_counter()
        state, score, epochs, reason = "done", None, [], ""
        try:
            config = with_values(self.config, values, number)
            score, member_epochs = self.evaluate(config, f"trial {number}, ")
            score, epochs = float(score), list(member_epochs)
        except (ConfigError, CohortError, TransformError, NotComputableError) as error:
            self._first_error = self._first_error or error
            state, reason = "failed", str(error)
        seconds = clock.perf_counter() - started
        plain = to_jsonable_python(values)
        return Trial(number, plain, state, score, epochs, seconds, reason)

    def best(self) -> Trial:
        scored = [trial for trial in self.done if trial.score is not None]
        if not scored:
            raise self._first_error or InputError(
                f"all trials failed: {self.done[0].reason}",
            )
        return max(scored, key=lambda trial: (trial.score, -trial.number))

    def note(self, stopped: str) -> str:
        """What a reader must know of the trials: how many failed, whether the clock decided."""
        notes = []
        failed = sum(trial.state == "failed" for trial in self.done)
        if failed:
            notes.append(f"{failed} of {len(self.done)} trials failed")
        if stopped == "search_seconds":
            notes.append(
                f"{self.config.search.seconds:g} seconds were over after {len(self.done)} trials; "
                "another machine may choose otherwise",
            )
        return "; ".join(notes)


def with_values(
    config: FitConfig,
    values: Values,
    number: int,
) -> FitConfig:
    """Make the configuration of a trial; it searches no more.

    Raises
    ------
    ConfigError
        When the values do not go together.
    """
    no_search = {"search": "none", "search_space": None}
    parameters = {**config.parameters(), **values, **no_search}
    return build(FitConfig, parameters, where=f"trial {number}")


def trial_file(folder: Path, number: int) -> Path:
    """Where a finished trial is saved."""
    return folder / f"trial-{number}.json"


# -- sentences for people


def describe_search(log: Mapping[str, Any]) -> str:
    """One sentence on a search."""
    chosen = _describe_values(log["values"]) or "the model as given"
    trials = len(log["trials"])
    plural = "" if trials == 1 else "s"
    sentence = f"{log['how']} search, {trials} trial{plural} on inner folds: {chosen}"
    return f"{sentence}; {log['note']}" if log["note"] else sentence


def describe_searches(logs: Sequence[Mapping[str, Any]]) -> str:
    """One sentence on the searches of several fits: the method, and how often what was chosen."""
    first = logs[0]
    trials = sorted({len(log["trials"]) for log in logs})
    span = f"{trials[0]}" if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
    chosen = Counter(_describe_values(log["values"]) or "as given" for log in logs)
    shares = []
    for values, times in chosen.most_common(3):
        shares.append(f"{values} ({times} of {len(logs)} fits)")
    notes = listed(dict.fromkeys(log["note"] for log in logs if log["note"]), 2)
    return (
        f"Hyper-parameters were searched in every fit ({first['how']}, {span} trials) by the "
        f"{first['criterion']}, on the {first['inner_folds']} inner folds of the training "
        f"patients. Chosen: {'; '.join(shares)}.{f' Notes: {notes}.' if notes else ''}"
    )


def _describe_values(values: Mapping[str, Any]) -> str:
    parts = []
    for name, value in values.items():
        parts.append(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}",
        )
    return ", ".join(parts)
