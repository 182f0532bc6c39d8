"""The grid of candidates and splits: every cell is loaded, or fitted, predicted and written.

A cell is one candidate on one split. Its result is one JSON file that appears whole; a
cell that is already there under the same key is not computed again, so that a run
that was killed ends with the same bytes. Cells do not depend on each other, so any
executor may compute them; the worker that computes a cell writes it.
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
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimators import outcomes
from survfuse.evaluation.candidates import Candidate
from survfuse.evaluation.cell import VERSION, Cell, CellWork
from survfuse.evaluation.controls import NoCalibrator
from survfuse.evaluation.folds import Fold, Folds, folds_of
from survfuse.executors import Executor, InlineExecutor, Task
from survfuse.survival.calibration import calibrator_from_dict
from survfuse.survival.curves import SurvivalCurves
from survfuse.training import Hook


class Watcher(Hook):
    """A training hook that also hears of cells."""

    def on_cells(self, total: int) -> None:
        """Before the first cell."""

    def on_cell(
        self,
        name: str,
        done: int,
        resumed: bool,
    ) -> None:
        """After each cell; `resumed` when an earlier run had finished it."""

    def on_half(self, text: str) -> None:
        """Before each half model, such as ``half 3 of 8``."""


@dataclass
class Grid:
    """Predictions of every candidate on every split.

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
    terms : mapping of model to list of mapping or None
        Terms of the log-risks on each split, where they were asked for.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    folds: dict[str, Folds] = field(default_factory=dict)
    summaries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    terms: dict[str, list[dict[str, list[float]] | None]] = field(default_factory=dict)


class Cells:
    """Computes cells, or loads those that were computed before.

    Parameters
    ----------
    out : path or None
        Folder of the run; nothing is stored without one.
    cohort : Cohort
        Of the training patients.
    horizons : sequence of float
        Of the survival columns.
    target : Cohort, optional
        Of the test patients; `cohort` by default.
    executor : Executor, optional
        Computes the cells; this process by default.
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
        # Workers may have another working directory.
        self.folder = None if out is None else (out / "cells").absolute()
        self.target = target
        self.executor = executor or InlineExecutor()
        self.fingerprint = cohort.fingerprint()

    def all(
        self,
        plan: Sequence[tuple[Candidate, Sequence[Split]]],
        watcher: Watcher,
    ) -> Grid:
        """Compute or load every cell of a plan.

        The order is split by split: candidates on the same training patients share what they
        learn of them (:class:`survfuse.estimators.FoldContext`).
        """
        cells = {cell.name: cell for cell in self._planned(plan)}
        watcher.on_cells(len(cells))
        contents, notes = self._recalled(cells, watcher)
        tasks = [
            Task(name, cell) for name, cell in cells.items() if name not in contents
        ]
        hooks = (watcher,)
        work = CellWork(self.folder, self.cohort, self.target, self.horizons, hooks)
        with closing(self.executor.run(work, tasks)) as outcomes:
            for outcome in outcomes:
                cell = cells[outcome.key]
                if outcome.error is not None or outcome.value is None:
                    _raise(outcome.error, cell)
                contents[cell.name], damaged = outcome.value
                self._write(cell, contents[cell.name])
                notes += damaged
                watcher.on_cell(cell.label, len(contents), False)
        order = [candidate for candidate, _ in plan]
        return self._grid(list(cells.values()), order, contents, notes)

    def _planned(
        self,
        plan: Sequence[tuple[Candidate, Sequence[Split]]],
    ) -> list[Cell]:
        """Cells of a plan, split by split."""
        cells = []
        for split in dict.fromkeys(split for _, splits in plan for split in splits):
            for candidate, splits in plan:
                if split in splits:
                    cells.append(self._cell(candidate, split))
        return cells

    def _recalled(
        self,
        cells: Mapping[str, Cell],
        watcher: Watcher,
    ) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Content of the cells that an earlier run finished, by name; notes on damaged files."""
        contents: dict[str, dict[str, Any]] = {}
        if self.folder is None:
            return contents, []
        with collected_notes() as damaged:
            for name, cell in cells.items():
                content = cell.recalled(self.folder)
                if content is not None:
                    contents[name] = content
                    # A run may have been killed after it wrote the cell.
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                    watcher.on_cell(cell.label, len(contents), True)
        return contents, list(damaged)

    def _grid(
        self,
        cells: Sequence[Cell],
        order: Sequence[Candidate],
        contents: Mapping[str, dict[str, Any]],
        notes: list[str],
    ) -> Grid:
        """Tables of every model; the models as `order` has their candidates."""
        grid = Grid(notes=notes)
        for cell in cells:
            content = contents[cell.name]
            summaries = grid.summaries.setdefault(cell.candidate.name, [])
            summaries.append(content["summary"])
            grid.terms.setdefault(cell.candidate.name, []).append(content["terms"])
            grid.notes += [f"{cell.label}: {note}" for note in content["notes"]]
        parts: dict[str, list[tuple[Split, dict[str, Any]]]] = {}
        for cell in sorted(cells, key=lambda cell: order.index(cell.candidate)):
            content = contents[cell.name]
            parts.setdefault(cell.candidate.name, []).append((cell.split, content))
            for name, other in sorted(content["also"].items()):
                parts.setdefault(name, []).append((cell.split, other))
        for name, predictions in parts.items():
            grid.tables[name], grid.folds[name] = self._assembled(predictions)
        return grid

    def _cell(
        self,
        candidate: Candidate,
        split: Split,
    ) -> Cell:
        target = None if self.target is None else self.target.fingerprint()
        identity = [
            __version__,
            VERSION,
            candidate.identity(),
            self.fingerprint,
            split.train,
            split.test,
            self.horizons,
            target,
        ]
        if self.target is not None:
            label, place = f"{candidate.name}, on {self.target.name}", "external"
        else:
            label = f"{candidate.name}, repeat {split.repeat}, fold {split.fold}"
            place = f"r{split.repeat}-f{split.fold}"
        name = f"{stem(candidate.name)}-{place}"
        return Cell(candidate, split, label, name, sha256_text(to_json(identity)))

    def _write(
        self,
        cell: Cell,
        content: Mapping[str, Any],
    ) -> None:
        """Write a cell whose worker wrote it on another machine."""
        if self.folder is None:
            return
        path = self.folder / f"{cell.name}.json"
        if not path.exists():
            write_cached_json(path, cell.header, content)

    def _assembled(
        self,
        predictions: Sequence[tuple[Split, Mapping[str, Any]]],
    ) -> tuple[pd.DataFrame, Folds]:
        tables: list[pd.DataFrame] = []
        folds: list[Fold] = []
        for split, content in predictions:
            place = (split.repeat, split.fold)
            table = self._frame(content, split)
            curves = _curves(content["calibrator"], table["log_risk"].to_numpy(float))
            train = outcomes(self.cohort, split.train)
            folds += folds_of(table, {place: curves}, {place: train})
            tables.append(table)
        return pd.concat(tables, ignore_index=True), tuple(folds)

    def _frame(
        self,
        content: Mapping[str, Any],
        split: Split,
    ) -> pd.DataFrame:
        columns = pd.DataFrame(content["columns"])
        table: pd.DataFrame = columns.loc[:, content["order"]]
        numbers = table.columns.drop("patient_id")
        table[numbers] = table[numbers].astype(float)
        table["risk_group"] = table["risk_group"].astype(int)
        time, event = outcomes(self.target or self.cohort, table["patient_id"].tolist())
        table.insert(1, "repeat", split.repeat)
        table.insert(2, "fold", split.fold)
        table.insert(3, "time", time)
        table.insert(4, "event", event.astype(int))
        return table


def stem(name: str) -> str:
    """Name of a model as part of a file name; a text of the user is never a path."""
    return re.sub(r"[^\w.+-]", "-", name)


def _curves(
    calibrator: Mapping[str, Any],
    log_risk: FloatArray,
) -> SurvivalCurves | None:
    """Exact curves of a cell's patients; None under a calibration that gives none."""
    if calibrator["name"] == NoCalibrator.name:
        return None
    restored = calibrator_from_dict(calibrator)
    return restored.curves(log_risk) if restored.has_curves else None


def _raise(
    error: BaseException | None,
    cell: Cell,
) -> NoReturn:
    """Raise the error of a cell, as if it had happened here."""
    if isinstance(error, CrashError):
        with context(cell.label):
            raise error
    raise error or AssertionError(f"{cell.label}: no result")
