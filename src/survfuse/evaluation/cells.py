"""The grid of learners and splits, and the files that remember it.

A cell is one learner on one split. Its result is one JSON file that appears whole; a
cell that is already there under the same key is not computed again, so that a run
that was killed ends with the same bytes. Cells do not know of each other, so any
executor may carry them; whoever computes a cell writes it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from survfuse._digests import collected_notes, write_cached_json
from survfuse._errors import CrashError, context
from survfuse._storage import sha256_text, to_json
from survfuse._types import FloatArray
from survfuse._version import __version__
from survfuse.anchors.blocks import outcomes
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.evaluation.cell import VERSION, Cell, CellWork
from survfuse.evaluation.folds import Fold, Folds, folds_of
from survfuse.evaluation.learner import Learner
from survfuse.evaluation.networks import NoCalibrator
from survfuse.executors import Executor, InlineExecutor, Task
from survfuse.survival.calibration import calibrator_from_dict
from survfuse.survival.curves import SurvivalCurves
from survfuse.training import Hook


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
    executor : Executor, optional
        Who computes; this process by default.
    """

    def __init__(
        self,
        out: Path | None,
        cohort: Cohort,
        horizons: Sequence[float],
        target: Cohort | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.out, self.cohort, self.horizons = out, cohort, tuple(horizons)
        self.folder = None if out is None else out / "cells"
        self.target = cohort if target is None else target
        self.executor = executor or InlineExecutor()
        self.fingerprint = cohort.fingerprint()
        self._foreign = None if target is None else target.fingerprint()

    def all(
        self,
        plan: Sequence[tuple[Learner, Sequence[Split]]],
        watcher: Watcher,
    ) -> Grid:
        """Compute or recall every cell of a plan."""
        grid = Grid()
        # Split by split: models of one fold learn from the same patients and share what they learn of them.
        splits = dict.fromkeys(split for _, splits in plan for split in splits)
        cells = [
            self._cell(each, split)
            for split in splits
            for each, those in plan
            if split in those
        ]
        told = self._told(cells, watcher, grid.notes)
        parts: dict[str, dict[str, list[tuple[Split, dict[str, Any]]]]] = {
            each.name: {} for each, _ in plan
        }
        for cell in cells:
            model, found = cell.learner.name, told[cell.name]
            grid.summaries.setdefault(model, []).append(found["summary"])
            grid.notes += [f"{cell.label}: {note}" for note in found["notes"]]
            also = sorted(found["also"].items())  # as a recalled cell has them
            for name, one in [(model, found), *also]:
                parts[model].setdefault(name, []).append((cell.split, one))
        for of_learner in parts.values():
            for name, each in of_learner.items():
                grid.tables[name], grid.folds[name] = self._assembled(each)
        return grid

    def _told(
        self,
        cells: Sequence[Cell],
        watcher: Watcher,
        notes: list[str],
    ) -> dict[str, dict[str, Any]]:
        """Give the content of every cell by its name: recalled, or computed by the executor."""
        watcher.on_cells(len(cells))
        told: dict[str, dict[str, Any]] = {}
        with collected_notes() as damaged:
            for cell in cells:
                known = self._recalled(cell)
                if known is not None:
                    told[cell.name] = known
                    watcher.on_cell(cell.label, len(told), True)
        notes += damaged
        missing = {cell.name: cell for cell in cells if cell.name not in told}
        target = None if self._foreign is None else self.target
        folder = (
            None if self.folder is None else self.folder.absolute()
        )  # workers may be elsewhere
        work = CellWork(folder, self.cohort, target, self.horizons, (watcher,))
        tasks = [Task(name, cell) for name, cell in missing.items()]
        with closing(self.executor.run(work, tasks)) as outcomes:
            for outcome in outcomes:
                cell = missing[outcome.key]
                if outcome.error is not None or outcome.value is None:
                    _surface(outcome.error, cell)
                else:
                    content, damaged = outcome.value
                    told[cell.name] = self._kept(cell, content)
                    notes += damaged
                    watcher.on_cell(cell.label, len(told), False)
        return told

    def _cell(self, learner: Learner, split: Split) -> Cell:
        identity = [
            __version__,
            VERSION,
            learner.identity(),
            self.fingerprint,
            split.train,
            split.test,
        ]
        key = sha256_text(to_json([*identity, self.horizons, self._foreign]))
        if self._foreign is not None:
            label, place = f"{learner.name}, on {self.target.name}", "external"
        else:
            label = f"{learner.name}, repeat {split.repeat}, fold {split.fold}"
            place = f"r{split.repeat}-f{split.fold}"
        return Cell(learner, split, label, f"{stem(learner.name)}-{place}", key)

    def _recalled(self, cell: Cell) -> dict[str, Any] | None:
        if self.folder is None:
            return None
        with context(cell.label):
            known = cell.recalled(self.folder)
        if known is not None:  # a run may have been killed after it wrote the cell
            shutil.rmtree(self.folder / cell.name, ignore_errors=True)
        return known

    def _kept(self, cell: Cell, told: dict[str, Any]) -> dict[str, Any]:
        """Write a cell whose worker wrote it on another machine."""
        if self.folder is not None and not (self.folder / f"{cell.name}.json").exists():
            write_cached_json(self.folder / f"{cell.name}.json", cell.header, told)
        return told

    def _assembled(
        self,
        told: Sequence[tuple[Split, Mapping[str, Any]]],
    ) -> tuple[pd.DataFrame, Folds]:
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


def _curves(
    calibrator: Mapping[str, Any],
    log_risk: FloatArray,
) -> SurvivalCurves | None:
    """Exact curves of a cell's patients; None under a calibration that gives none."""
    if calibrator["name"] == NoCalibrator.name:
        return None
    made = calibrator_from_dict(calibrator)
    return made.curves(log_risk) if made.has_curves else None


def _surface(error: BaseException | None, cell: Cell) -> NoReturn:
    """Raise what a cell ended with, as if it had happened here."""
    if isinstance(error, CrashError):
        with context(cell.label):
            raise error
    raise error or AssertionError(f"{cell.label}: no result")
