"""One cell: a learner on a split, computed wherever an executor carries it, and kept as JSON."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from survfuse._digests import Header, collected_notes, recall_json, write_cached_json
from survfuse._errors import InputError, context
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimator import Prediction
from survfuse.evaluation.learner import Learner
from survfuse.evaluation.networks import NoCalibrator
from survfuse.survival.calibration import calibrator_from_dict
from survfuse.training import Hook

FORMAT, VERSION = "survfuse-cell", 3
OTHER = (
    "a result of another run (configuration, data or version differ); "
    "choose a new output folder, or delete this one"
)
NEVER_MISSING = {"log_risk", "risk_group"}


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

    @property
    def header(self) -> Header:
        """What its file must say of itself."""
        return {"format": FORMAT, "version": VERSION, "key": self.key}

    def recalled(self, folder: Path) -> dict[str, Any] | None:
        """Read its file, if it is there and whole.

        Raises
        ------
        InputError
            When the file belongs to another run.
        """
        path = folder / f"{self.name}.json"
        return recall_json(path, self.header, OTHER, self._check)

    def _check(self, content: Mapping[str, Any]) -> None:
        try:
            for part in (content, *content["also"].values()):
                _check_prediction(part, self.split.test)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"not a cell of this version ({type(error).__name__}: {error})",
            ) from None


def _check_prediction(part: Mapping[str, Any], test: Sequence[str]) -> None:
    """Refuse predictions that are not of these patients, in this order, with numbers where they belong."""
    columns, order = part["columns"], part["order"]
    if sorted(order) != sorted(columns) or columns["patient_id"] != list(test):
        raise InputError(
            f"expected predictions of the {len(test)} patients of the test fold",
        )
    for name in order:
        if name == "patient_id":
            continue
        allowed = (int, float) if name in NEVER_MISSING else (int, float, type(None))
        values = columns[name]
        if len(values) != len(test) or not all(
            type(value) in allowed for value in values
        ):
            raise InputError(f"expected {len(test)} numbers in column {name}")
    if part["calibrator"]["name"] != NoCalibrator.name:
        calibrator_from_dict(part["calibrator"])


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

    def __call__(self, cell: Cell) -> tuple[dict[str, Any], list[str]]:
        """Fit, predict, and keep the result as JSON; give it, and notes on how it was made."""
        scratch = None if self.folder is None else self.folder / cell.name
        with context(cell.label), collected_notes() as notes:
            result = cell.learner.fit_predict(
                self.cohort,
                cell.split.train,
                cell.split.test,
                self.hooks,
                scratch,
                target=self.target,
            )
        content: dict[str, Any] = {
            **self._plain(result.prediction),
            "summary": dict(result.summary),
            "also": {
                other: self._plain(prediction)
                for other, prediction in result.also.items()
            },
        }
        if self.folder is not None and scratch is not None:
            content = write_cached_json(
                self.folder / f"{cell.name}.json",
                cell.header,
                content,
            )
            shutil.rmtree(scratch, ignore_errors=True)
        return content, notes

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
