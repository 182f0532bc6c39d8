"""One cell: a candidate on a split, computed by any executor and stored as JSON."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from survfuse._digests import Header, collected_notes, recall_json, write_cached_json
from survfuse._errors import InputError, context
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.estimators import FoldContext
from survfuse.evaluation.candidates import Candidate
from survfuse.evaluation.controls import NoCalibrator
from survfuse.prediction import Prediction
from survfuse.survival.calibration import calibrator_from_dict
from survfuse.training import Hook

FORMAT, VERSION = "survfuse-cell", 5
OTHER = (
    "a result of another run (configuration, data or version differ); "
    "choose a new output folder, or delete this one"
)
NEVER_MISSING = {"log_risk", "risk_group"}


@dataclass(frozen=True)
class Cell:
    """One candidate on one split.

    Attributes
    ----------
    candidate : Candidate
    split : Split
    label : str
        For messages and progress.
    name : str
        Of its file; differs between the cells of a run.
    key : str
        Hash of everything that its numbers depend on.
    """

    candidate: Candidate
    split: Split
    label: str
    name: str
    key: str

    @property
    def header(self) -> Header:
        """Format, version and key, as its file states them."""
        return {"format": FORMAT, "version": VERSION, "key": self.key}

    def recalled(self, folder: Path) -> dict[str, Any] | None:
        """Read its file, if it is there and whole.

        Raises
        ------
        InputError
            When the file belongs to another run.
        """
        path = folder / f"{self.name}.json"
        with context(self.label):
            return recall_json(path, self.header, OTHER, self._check)

    def _check(self, content: Mapping[str, Any]) -> None:
        try:
            for part in (content, *content["also"].values()):
                _check_prediction(part, self.split.test)
            _check_terms(content["terms"], len(self.split.test))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"not a cell of this version ({type(error).__name__}: {error})",
            ) from None


def _check_prediction(
    part: Mapping[str, Any],
    test: Sequence[str],
) -> None:
    """Refuse predictions of other patients or in another order, and texts in place of numbers."""
    columns, order = part["columns"], part["order"]
    if sorted(order) != sorted(columns) or columns["patient_id"] != list(test):
        raise InputError(
            f"expected predictions of the {len(test)} patients of the test fold",
        )
    for name, values in columns.items():
        if name == "patient_id":
            continue
        allowed = {int, float} if name in NEVER_MISSING else {int, float, type(None)}
        if len(values) != len(test) or not {type(value) for value in values} <= allowed:
            raise InputError(f"expected {len(test)} numbers in column {name}")
    if part["calibrator"]["name"] != NoCalibrator.name:
        calibrator_from_dict(part["calibrator"])


def _check_terms(
    terms: Mapping[str, Sequence[Any]] | None,
    patients: int,
) -> None:
    """Refuse terms of another number of patients, and texts in place of numbers."""
    for name, values in (terms or {}).items():
        if len(values) != patients or not {type(one) for one in values} <= {int, float}:
            raise InputError(f"expected {patients} numbers in term {name}")


@dataclass
class CellWork:
    """Computes cells; sent to each worker once.

    Attributes
    ----------
    folder : path or None
        Where cells are stored.
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
    _fold: FoldContext | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "hooks": (), "_fold": None}

    def __call__(self, cell: Cell) -> tuple[dict[str, Any], list[str]]:
        """Fit, predict, and write the result as JSON; return it, and notes on how it was made."""
        scratch = None if self.folder is None else self.folder / cell.name
        with context(cell.label), collected_notes() as notes:
            fold = replace(
                self._shared(cell.split.train),
                hooks=self.hooks,
                folder=scratch,
                checkpoints=set(),
            )
            result = cell.candidate.fit_predict(fold, cell.split.test, self.target)
        also = {name: self._plain(other) for name, other in result.also.items()}
        content = {
            **self._plain(result.prediction),
            "summary": dict(result.summary),
            "also": also,
            "terms": result.terms,
        }
        if self.folder is not None and scratch is not None:
            path = self.folder / f"{cell.name}.json"
            content = write_cached_json(path, cell.header, content)
            shutil.rmtree(scratch, ignore_errors=True)
        return content, notes

    def _shared(self, train: Sequence[str]) -> FoldContext:
        """Training patients, the same object as long as the split stays the same."""
        if self._fold is None or self._fold.ids != tuple(sorted(train)):
            self._fold = FoldContext.of(self.cohort, train)
        return self._fold

    def _plain(self, prediction: Prediction) -> dict[str, Any]:
        table = prediction.frame(self.horizons)
        columns = {}
        for name in table.columns:
            values = table[name].astype(object)
            columns[name] = values.where(table[name].notna(), None).tolist()
        # Drift is reported for patients of another cohort alone.
        skipped = set()
        if self.target is None and prediction.drift is not None:
            skipped = set(prediction.drift.notes)
        notes = []
        for patient, message in prediction.notes:
            if (patient, message) not in skipped:
                notes.append(f"{patient}: {message}" if patient else message)
        return {
            "columns": columns,
            "order": list(table.columns),
            "calibrator": prediction.calibrator.to_dict(),
            "notes": notes,
        }
