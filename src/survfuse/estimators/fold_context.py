"""One set of training patients, and what the estimators that learn from it share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from survfuse._errors import CohortError, listed
from survfuse._storage import sha256_text, to_json
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse._version import __version__
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.training import Hook, Ranks


@dataclass(frozen=True, eq=False)
class FoldContext:
    """Training patients with their outcomes; make one with :meth:`of`.

    Attributes
    ----------
    cohort : Cohort
    ids : tuple of str
        Training patients, sorted, so that the order they are given in never matters.
    time, event : array, (patients,)
    hooks : tuple of Hook
        Watchers of every training run.
    folder : path or None
        Where checkpoints are written while fitting, to be resumed from.
    label : str
        Before the label of every training run.
    checkpoints : set of path
        Files that this fit may have written into `folder`.
    memory : dict
        Results that several estimators share, by patients and what was computed.
    inner : array of int, (patients,), or None
        Inner fold of each patient where the estimator must take these, as one that is a term of
        a stack must; None where it draws its own.
    """

    cohort: Cohort
    ids: tuple[str, ...]
    time: FloatArray
    event: BoolArray
    hooks: tuple[Hook, ...] = ()
    folder: Path | None = None
    label: str = ""
    checkpoints: set[Path] = field(default_factory=set)
    memory: dict[Any, Any] = field(default_factory=dict)
    inner: IntArray | None = None

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        patients: Sequence[str] | None = None,
        *,
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
    ) -> FoldContext:
        """Check the training patients; everyone with an outcome by default.

        Raises
        ------
        CohortError
            Without outcome, for patients that are unknown or given twice, or without any event.
        """
        ids = training_patients(cohort, patients)
        return cls(cohort, ids, *outcomes(cohort, ids), tuple(hooks), folder)

    def subset(
        self,
        rows: BoolArray,
        label: str,
    ) -> FoldContext:
        """Some of the patients; `label` is added before the label of their training runs."""
        return replace(
            self,
            ids=self.patients(rows),
            time=self.time[rows],
            event=self.event[rows],
            label=self.label + label,
            inner=None if self.inner is None else self.inner[rows],
        )

    def patients(self, rows: BoolArray) -> tuple[str, ...]:
        """Ids of some of the patients."""
        return tuple(self.ids[row] for row in np.flatnonzero(rows))

    def identity(
        self,
        config: FitConfig,
        code: str = "",
    ) -> str:
        """Hash of all that a fit on these patients depends on, `code` of other packages too."""
        parts = [__version__, config.identity(), self.cohort.fingerprint(), self.ids]
        if self.inner is not None:
            parts.append(self.inner.tolist())
        return sha256_text(to_json([*parts, code] if code else parts))

    def checkpoint(self, label: str) -> Path | None:
        """Checkpoint file of a training run, to be deleted by :meth:`clear`."""
        if self.folder is None:
            return None
        name = label.replace(", ", "-").replace(" ", "-")
        path = self.folder / f"{name}.safetensors"
        self.checkpoints.add(path)
        return path

    def clear(self) -> None:
        """Delete the checkpoints of a finished fit; of several processes, the writing one does."""
        if self.folder is None or not Ranks.here().writes:
            return
        for path in self.checkpoints:  # these alone: the folder may hold other files
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def outcomes(
    cohort: Cohort,
    ids: Sequence[str],
) -> tuple[FloatArray, BoolArray]:
    """Times and events of patients, in their order."""
    assert cohort.outcome is not None
    outcome = cohort.outcome.loc[list(ids)]
    return outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)


def training_patients(
    cohort: Cohort,
    patients: Sequence[str] | None,
) -> tuple[str, ...]:
    """Check and return the training patients, sorted.

    Raises
    ------
    CohortError
        As :meth:`FoldContext.of`.
    """
    if cohort.outcome is None:
        raise CohortError(
            f"cohort {cohort.name!r} has no outcome to learn from; declare `outcome` in its file",
        )
    ids = tuple(sorted(cohort.patients if patients is None else patients))
    known = cohort.outcome.index[cohort.outcome["time"].notna()]
    unknown = sorted(set(ids) - set(known))
    if unknown:
        raise CohortError(f"no outcome for training patients: {listed(unknown)}")
    if len(set(ids)) < len(ids):
        raise CohortError(
            "training patients are given more than once; each may appear once",
        )
    if not cohort.outcome.loc[list(ids), "event"].any():
        raise CohortError(
            f"none of the {len(ids)} training patients has an event; nothing can be learned",
        )
    return ids
