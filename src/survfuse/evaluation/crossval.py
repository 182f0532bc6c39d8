"""Cross-validation: every model on the same folds, every cell kept, a killed run resumed.

A cell is one model on one fold of one repeat. Its result is one JSON file that
appears whole; a cell that is already there under the same key is not computed
again, so that a run that was killed ends with the same bytes.
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
import time as clock
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from survfuse._errors import CohortError, ConfigError, InputError, context
from survfuse._storage import read_json, sha256_text, to_json, write_json
from survfuse._version import __version__
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import given_folds, make_folds
from survfuse.config import CrossvalConfig, RunConfig, build
from survfuse.estimator import SurvivalFusion
from survfuse.evaluation.checks import run_checks
from survfuse.evaluation.combine import summarise
from survfuse.evaluation.description import describe
from survfuse.evaluation.learners import Learner, NetworkLearner, comparators
from survfuse.evaluation.result import Result
from survfuse.training import Hook

YEARS = {"days": 365.0, "months": 12.0, "years": 1.0}
TOLD_YEARS = (1, 3, 5)
MIN_AT_RISK = 0.1  # horizons later than this share of patients is followed are dropped


class Watcher(Hook):
    """A training hook that also hears of cells."""

    def on_cells(self, total: int) -> None:
        """Before the first cell."""

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        """After each cell; `resumed` when an earlier run had finished it."""


def cross_validate(
    model: SurvivalFusion,
    cohort: Cohort,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    given_folds: bool = True,
    networks: bool = True,
    horizons: Sequence[float] | None = None,
    tau: float | None = None,
    out: Path | str | None = None,
    watcher: Watcher | None = None,
    name: str | None = None,
) -> Result:
    """Cross-validate a model and its baselines on the same folds.

    Parameters
    ----------
    model : SurvivalFusion
        Unfitted or fitted; only its configuration is used.
    cohort : Cohort
    folds, repeats, seed : int
        Splits by patient, stratified on the event.
    given_folds : bool
        Use the folds of the cohort file, where it names some, as the first repeat.
    networks : bool
        Also run the model's network on each modality alone (ridge Cox baselines run always).
    horizons : sequence of float, optional
        Times at which survival is told; the cohort file's, or 1, 3 and 5 years.
    tau : float, optional
        Truncation time of Uno's C; the last horizon by default.
    out : path, optional
        Folder for the run's files; needed for resuming and for the report.
    watcher : Watcher, optional
        Hears of cells and epochs.
    name : str, optional
        What the model is called in tables; preset and fusion by default.

    Raises
    ------
    CohortError
        Without outcome, or with too few events for the folds.
    InputError
        When `out` holds another run.
    """
    splits = {"folds": folds, "repeats": repeats, "seed": seed}
    crossval = {**splits, "given_folds": given_folds, "networks": networks}
    told = {"horizons": None if horizons is None else tuple(horizons), "tau": tau}
    config = build(RunConfig, {"model": model.config, "crossval": crossval, **told}, where="cross_validate")
    return run(config, cohort, out=out, watcher=watcher, name=name)


def run(
    config: RunConfig,
    cohort: Cohort,
    *,
    out: Path | str | None = None,
    watcher: Watcher | None = None,
    name: str | None = None,
    command: str = "",
) -> Result:
    """Cross-validate as `config` says (see :func:`cross_validate`)."""
    started, clock_started = datetime.now(UTC), clock.perf_counter()
    if cohort.outcome is None:
        raise CohortError(f"cohort {cohort.name!r} has no outcome; cross-validation needs one")
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"{out}: is a file; choose a folder for the run")
    watcher = watcher or Watcher()
    name = name or f"{config.model.preset}:{config.model.fusion}"
    horizons, notes = resolve_horizons(config.horizons, cohort)
    config = config.model_copy(update={"horizons": horizons, "tau": config.tau or horizons[-1]})
    splits = splits_of(cohort, config.crossval)
    learners: list[Learner] = [
        NetworkLearner(name, config.model),
        *comparators(cohort, config.model, networks=config.crossval.networks, seed=config.crossval.seed),
    ]
    if _stem(name) in {_stem(other.name) for other in learners[1:]}:
        raise ConfigError(f"the model cannot be called {name!r}: a baseline is; choose another name")
    cells = _Cells(None if out is None else Path(out), cohort, config, splits)
    tables = cells.all(learners, watcher)
    clinical = next((each for each in tables if each == f"ridge:{_clinical_name(cohort)}"), None)
    metrics = summarise(tables, config.tau, clinical)
    record = {
        "model": name,
        "clinical": clinical,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(clock.perf_counter() - clock_started, 1),
        "versions": versions(),
        "seeds": {"splits": config.crossval.seed, "model": config.model.seed},
        "command": command,
        "hashes": {"cohort": cells.fingerprint},
        "notes": [*notes, *cells.notes],
    }
    result = Result(
        name=name,
        models=tables,
        estimates=metrics,
        checks=run_checks(tables, metrics, name, clinical, cells.summaries, cohort),
        cohort=describe(cohort, horizons, float(config.tau or horizons[-1])),
        config=config,
        record=record,
        out=None if out is None else Path(out),
    )
    if out is not None:
        result.write(Path(out))
    return result


def _stem(name: str) -> str:
    """Name of a model as part of a file name; a word of the user is never a path."""
    return re.sub(r"[^\w.-]", "-", name)


def _clinical_name(cohort: Cohort) -> str | None:
    return next((name for name, data in cohort.modalities.items() if data.kind == "clinical"), None)


def resolve_horizons(given: Sequence[float] | None, cohort: Cohort) -> tuple[tuple[float, ...], list[str]]:
    """Horizons of a run, and what a reader should know of the choice.

    Given ones are kept. Otherwise 1, 3 and 5 years, less those at which fewer
    than a tenth of the patients are still under observation (which does not look
    at who had an event, nor at any prediction).

    Raises
    ------
    ConfigError
        When no default horizon is left.
    """
    assert cohort.outcome is not None
    assert cohort.spec.outcome is not None
    stated = given if given is not None else cohort.spec.outcome.horizons
    if stated:
        if min(stated) <= 0:
            raise ConfigError(f"horizons must be > 0, got {list(stated)}")
        if len({f"{h:g}" for h in stated}) < len(stated):  # they name columns
            raise ConfigError(f"horizons must differ in their first 6 digits, got {list(stated)}")
        return tuple(sorted(float(h) for h in stated)), []
    year = YEARS[cohort.spec.outcome.unit]
    time = cohort.outcome["time"].to_numpy(float)
    kept = tuple(n * year for n in TOLD_YEARS if np.mean(time >= n * year) >= MIN_AT_RISK)
    if not kept:
        raise ConfigError(
            f"fewer than {MIN_AT_RISK:.0%} of the patients are followed for a year; "
            f"state horizons, in {cohort.spec.outcome.unit}, in the cohort file or with --set horizons=[…]"
        )
    dropped = [n for n in TOLD_YEARS if n * year not in kept]
    note = [
        f"{n}-year horizon left out: fewer than {MIN_AT_RISK:.0%} of patients are followed so long"
        for n in dropped
    ]
    return kept, note


def splits_of(cohort: Cohort, crossval: CrossvalConfig) -> pd.DataFrame:
    """Folds of every repeat: columns `patient_id, repeat, fold`.

    The folds that the cohort file names make the first repeat; further repeats
    are drawn.
    """
    tables = [given_folds(cohort)] if crossval.given_folds and cohort.folds is not None else []
    given, drawn = len(tables), crossval.repeats - len(tables)
    if drawn > 0:
        made = make_folds(cohort, folds=crossval.folds, repeats=drawn, seed=crossval.seed)
        tables.append(made.assign(repeat=made["repeat"] + given))
    table = pd.concat(tables, ignore_index=True)
    return table.sort_values(["repeat", "fold", "patient_id"], ignore_index=True)


def default_horizons(unit: str, longest: float) -> tuple[float, ...]:
    """1, 3 and 5 years in `unit`, as far as the training patients were followed."""
    return tuple(n * YEARS[unit] for n in TOLD_YEARS if n * YEARS[unit] <= longest)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "survfuse": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
    }


class _Cells:
    """The grid of models, repeats and folds, and the files that remember it."""

    def __init__(self, out: Path | None, cohort: Cohort, config: RunConfig, splits: pd.DataFrame) -> None:
        assert config.horizons is not None
        self.out, self.cohort, self.splits, self.horizons = out, cohort, splits, config.horizons
        self.fingerprint = cohort.fingerprint()
        self.summaries: dict[str, list[dict[str, Any]]] = {}
        self.notes: list[str] = []

    def all(self, learners: Sequence[Learner], watcher: Watcher) -> dict[str, pd.DataFrame]:
        """Compute or recall every cell; predictions of each model, sorted."""
        pairs = self.splits[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"])
        grid = [(int(repeat), int(fold)) for repeat, fold in pairs.to_numpy()]
        watcher.on_cells(len(learners) * len(grid))
        done = 0
        tables: dict[str, pd.DataFrame] = {}
        for learner in learners:
            parts = []
            for repeat, fold in grid:
                same = self.splits["repeat"] == repeat
                test = self.splits["fold"] == fold
                label = f"{learner.name}, repeat {repeat + 1}, fold {fold + 1}"
                with context(label):
                    cell, resumed = self._cell(
                        learner, repeat, fold, self.splits[same & ~test], self.splits[same & test], watcher
                    )
                self.summaries.setdefault(learner.name, []).append(cell["summary"])
                self.notes += [f"{label}: {note}" for note in cell["notes"]]
                parts.append(self._frame(cell, repeat, fold))
                done += 1
                watcher.on_cell(label, done, resumed)
            tables[learner.name] = pd.concat(parts, ignore_index=True)
        return tables

    def _cell(
        self,
        learner: Learner,
        repeat: int,
        fold: int,
        train: pd.DataFrame,
        test: pd.DataFrame,
        watcher: Watcher,
    ) -> tuple[dict[str, Any], bool]:
        train_ids, test_ids = sorted(train["patient_id"]), sorted(test["patient_id"])
        key = sha256_text(
            to_json(
                [
                    __version__,
                    learner.identity(),
                    self.fingerprint,
                    train_ids,
                    test_ids,
                    self.horizons,
                ]
            )
        )
        stem = f"{_stem(learner.name)}-r{repeat}-f{fold}"
        place = None if self.out is None else self.out / "cells" / f"{stem}.json"
        if place is not None and place.exists():
            return self._recall(place, key), True
        folder = None if self.out is None else self.out / "cells" / stem
        prediction, summary = learner.fit_predict(self.cohort, train_ids, test_ids, [watcher], folder)
        table = prediction.frame(self.horizons)
        columns = {
            name: [None if value != value else value for value in table[name].tolist()]
            for name in table.columns
        }
        notes = [f"{patient}: {message}" if patient else message for patient, message in prediction.notes]
        cell = {"format": "survfuse-cell", "version": 1, "key": key, "columns": columns}
        cell |= {"order": list(table.columns), "summary": summary, "notes": notes}
        if place is not None:
            write_json(place, cell)
            shutil.rmtree(folder, ignore_errors=True) if folder is not None else None
        return cell, False

    @staticmethod
    def _recall(place: Path, key: str) -> dict[str, Any]:
        cell: dict[str, Any] = read_json(place)
        if not isinstance(cell, dict) or cell.get("key") != key:
            raise InputError(
                f"{place}: a result of another run (configuration, data or version differ); "
                "choose a new output folder, or delete this one"
            )
        return cell

    def _frame(self, cell: dict[str, Any], repeat: int, fold: int) -> pd.DataFrame:
        assert self.cohort.outcome is not None
        table = pd.DataFrame({name: cell["columns"][name] for name in cell["order"]})
        numbers = table.columns.drop("patient_id")
        table[numbers] = table[numbers].astype(float)
        table["risk_group"] = table["risk_group"].astype(int)
        outcome = self.cohort.outcome.loc[table["patient_id"]]
        table.insert(1, "repeat", repeat)
        table.insert(2, "fold", fold)
        table.insert(3, "time", outcome["time"].to_numpy(float))
        table.insert(4, "event", outcome["event"].to_numpy(int))
        return table
