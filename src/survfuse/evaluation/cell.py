"""One cell: a learner on a split, computed wherever an executor carries it, and kept as JSON."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse._errors import context
from survfuse._storage import write_json
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimator import Prediction
from survfuse.evaluation.learner import Learner
from survfuse.training import Hook

FORMAT, VERSION = "survfuse-cell", 2


@dataclass(frozen=True)
class Cell:
    """One learner on one split.

    Attributes
    ----------
    learner : Learner
    split : Split
    label : str
        For messages and progress.
    name : str
        Of its file; differs between the cells of a run.
    key : str
        Hash of everything that its numbers depend on.
    """

    learner: Learner
    split: Split
    label: str
    name: str
    key: str


@dataclass
class CellWork:
    """Computes cells; what goes to each worker, once.

    Attributes
    ----------
    folder : path or None
        Where cells are kept.
    cohort : Cohort
        Of the training patients.
    target : Cohort or None
        Of the test patients, where they are others.
    horizons : tuple of float
    hooks : tuple of Hook
        Watchers of training runs; they stay in this process.
    """

    folder: Path | None
    cohort: Cohort
    target: Cohort | None
    horizons: tuple[float, ...]
    hooks: tuple[Hook, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "hooks": ()}

    def __call__(self, cell: Cell) -> dict[str, Any]:
        """Fit, predict, and keep the result as JSON."""
        scratch = None if self.folder is None else self.folder / cell.name
        with context(cell.label):
            result = cell.learner.fit_predict(
                self.cohort, cell.split.train, cell.split.test, self.hooks, scratch, target=self.target
            )
        told = {
            "format": FORMAT,
            "version": VERSION,
            "key": cell.key,
            **self._plain(result.prediction),
            "summary": dict(result.summary),
            "also": {other: self._plain(prediction) for other, prediction in result.also.items()},
        }
        if self.folder is not None and scratch is not None:
            write_json(self.folder / f"{cell.name}.json", told)
            shutil.rmtree(scratch, ignore_errors=True)
        return told

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
            if self.target is not None or (patient, message) not in near
        ]
        return {
            "columns": columns,
            "order": list(table.columns),
            "calibrator": prediction.calibrator.to_dict(),
            "notes": notes,
        }
