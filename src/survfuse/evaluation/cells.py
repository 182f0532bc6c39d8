"""The grid of learners and splits, and the files that remember it.

A cell is one learner on one split. Its result is one JSON file that appears whole; a
cell that is already there under the same key is not computed again, so that a run
that was killed ends with the same bytes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import InputError, context
from survfuse._storage import read_json, sha256_text, to_json, write_json
from survfuse._types import FloatArray
from survfuse._version import __version__
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimator import Prediction
from survfuse.evaluation.folds import Fold, Folds, folds_of
from survfuse.evaluation.learner import Learner, outcomes
from survfuse.evaluation.networks import NoCalibrator
from survfuse.survival.calibration import calibrator_from_dict
from survfuse.survival.curves import SurvivalCurves
from survfuse.training import Hook

FORMAT, VERSION = "survfuse-cell", 2


class Watcher(Hook):
    """A training hook that also hears of cells."""

    def on_cells(self, total: int) -> None:
        """Before the first cell."""

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        """After each cell; `resumed` when an earlier run had finished it."""


@dataclass
class Grid:
    """Predictions of every learner on every split.

    Attributes
    ----------
    tables : mapping of model to DataFrame
        `patient_id, repeat, fold, time, event, log_risk, predicted_time,
        survival_<horizon>…, risk_group`.
    folds : mapping of model to Folds
        The same with exact curves and the training patients' outcome.
    summaries : mapping of model to list of dict
        What was learned on each split.
    notes : list of str
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    folds: dict[str, Folds] = field(default_factory=dict)
    summaries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Cells:
    """Computes or recalls cells.

    Parameters
    ----------
    out : path or None
        Folder of the run; nothing is kept without one.
    cohort : Cohort
        Of the training patients.
    horizons : sequence of float
        Of the survival columns.
    target : Cohort, optional
        Of the test patients; `cohort` by default.
    """

    def __init__(
        self, out: Path | None, cohort: Cohort, horizons: Sequence[float], target: Cohort | None = None
    ) -> None:
        self.out, self.cohort, self.horizons = out, cohort, tuple(horizons)
        self.target = cohort if target is None else target
        self.fingerprint = cohort.fingerprint()
        self._foreign = None if target is None else target.fingerprint()
        self.done = 0

    def all(self, plan: Sequence[tuple[Learner, Sequence[Split]]], watcher: Watcher) -> Grid:
        """Compute or recall every cell of a plan."""
        grid = Grid()
        self._sweep()
        watcher.on_cells(sum(len(splits) for _, splits in plan))
        parts: dict[str, dict[str, list[tuple[Split, dict[str, Any]]]]] = {each.name: {} for each, _ in plan}
        # Split by split: models of one fold learn from the same patients and share what they learn of them.
        for split in dict.fromkeys(split for _, splits in plan for split in splits):
            for learner in (each for each, splits in plan if split in splits):
                label = self._label(learner.name, split)
                with context(label):
                    cell, resumed = self._cell(learner, split, watcher)
                grid.summaries.setdefault(learner.name, []).append(cell["summary"])
                grid.notes += [f"{label}: {note}" for note in cell["notes"]]
                for name, told in {learner.name: cell, **cell["also"]}.items():
                    parts[learner.name].setdefault(name, []).append((split, told))
                self.done += 1
                watcher.on_cell(label, self.done, resumed)
        for found in parts.values():
            for name, cells in found.items():
                grid.tables[name], grid.folds[name] = self._assembled(cells)
        return grid

    def _sweep(self) -> None:
        """Remove half-written cells that a killed run left; whole ones never have this name."""
        if self.out is not None:
            for litter in (self.out / "cells").glob(".*.json.*.part"):
                litter.unlink(missing_ok=True)

    def _label(self, name: str, split: Split) -> str:
        if self._foreign is not None:
            return f"{name}, on {self.target.name}"
        return f"{name}, repeat {split.repeat}, fold {split.fold}"

    def _cell(self, learner: Learner, split: Split, watcher: Watcher) -> tuple[dict[str, Any], bool]:
        identity = [__version__, VERSION, learner.identity(), self.fingerprint, split.train, split.test]
        key = sha256_text(to_json([*identity, self.horizons, self._foreign]))
        place = "external" if self._foreign is not None else f"r{split.repeat}-f{split.fold}"
        name = f"{stem(learner.name)}-{place}"
        path = None if self.out is None else self.out / "cells" / f"{name}.json"
        if path is not None and path.exists():
            return _recall(path, key), True
        folder = None if self.out is None else self.out / "cells" / name
        target = None if self._foreign is None else self.target
        result = learner.fit_predict(self.cohort, split.train, split.test, [watcher], folder, target=target)
        cell = {
            "format": FORMAT,
            "version": VERSION,
            "key": key,
            **self._plain(result.prediction),
            "summary": dict(result.summary),
            "also": {other: self._plain(prediction) for other, prediction in result.also.items()},
        }
        if path is not None:
            write_json(path, cell)
            shutil.rmtree(folder, ignore_errors=True) if folder is not None else None
        return cell, False

    def _plain(self, prediction: Prediction) -> dict[str, Any]:
        table = prediction.frame(self.horizons)
        columns = {
            name: [None if value != value else value for value in table[name].tolist()]
            for name in table.columns
        }
        # Distance from the training patients is for strangers; these are patients of the same cohort.
        near = set() if prediction.drift is None else set(prediction.drift.notes)
        notes = [
            f"{patient}: {message}" if patient else message
            for patient, message in prediction.notes
            if self._foreign is not None or (patient, message) not in near
        ]
        return {
            "columns": columns,
            "order": list(table.columns),
            "calibrator": prediction.calibrator.to_dict(),
            "notes": notes,
        }

    def _assembled(self, told: Sequence[tuple[Split, Mapping[str, Any]]]) -> tuple[pd.DataFrame, Folds]:
        parts: list[pd.DataFrame] = []
        folds: list[Fold] = []
        for split, cell in told:
            table = self._frame(cell, split)
            curves = _curves(cell["calibrator"], table["log_risk"].to_numpy(float))
            train = outcomes(self.cohort, split.train)
            place = (split.repeat, split.fold)
            folds += folds_of(table, {place: curves}, {place: train})
            parts.append(table)
        return pd.concat(parts, ignore_index=True), tuple(folds)

    def _frame(self, cell: Mapping[str, Any], split: Split) -> pd.DataFrame:
        table = pd.DataFrame({name: cell["columns"][name] for name in cell["order"]})
        numbers = table.columns.drop("patient_id")
        table[numbers] = table[numbers].astype(float)
        table["risk_group"] = table["risk_group"].astype(int)
        time, event = outcomes(self.target, table["patient_id"].tolist())
        table.insert(1, "repeat", split.repeat)
        table.insert(2, "fold", split.fold)
        table.insert(3, "time", time)
        table.insert(4, "event", event.astype(int))
        return table


def stem(name: str) -> str:
    """Name of a model as part of a file name; a word of the user is never a path."""
    return re.sub(r"[^\w.+-]", "-", name)


def _curves(calibrator: Mapping[str, Any], log_risk: FloatArray) -> SurvivalCurves | None:
    """Exact curves of a cell's patients; None under a calibration that gives none."""
    if calibrator["name"] == NoCalibrator.name:
        return None
    made = calibrator_from_dict(calibrator)
    return made.curves(log_risk) if made.has_curves else None


def _recall(path: Path, key: str) -> dict[str, Any]:
    cell: dict[str, Any] = read_json(path)
    if not isinstance(cell, dict) or cell.get("key") != key:
        raise InputError(
            f"{path}: a result of another run (configuration, data or version differ); "
            "choose a new output folder, or delete this one"
        )
    return cell
