"""Small models, small runs, and the command line as a test calls it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from builders import CohortFiles, cohort_files
from survfuse._storage import to_json
from survfuse.cli import main
from survfuse.cohort import Cohort, load_cohort
from survfuse.config import PARAMETERS
from survfuse.estimator import SurvivalFusion
from survfuse.estimators.neural_network import NetworkEnsemble
from survfuse.models.network import FusionNetwork
from survfuse.training import Hook, Run

QUICK: Mapping[str, Any] = {
    "fusion": "concat",
    "epochs": 4,
    "min_epochs": 1,
    "selection_folds": 2,
    "expression_components": 4,
    "bag_width": 4,
    "attention_width": 3,
    "max_tiles": 4,
    "device": "cpu",
}
SETTINGS = tuple(
    f"--set=model.{PARAMETERS.get(name, name)}={value}" for name, value in QUICK.items()
)
FOLDS = ("--set=crossval.folds=2",)


def quick(**fields: Any) -> SurvivalFusion:
    """Make a model that fits 24 patients in a fraction of a second."""
    return SurvivalFusion(**{**QUICK, **fields})


def small(root: Path, patients: int = 24, **fields: Any) -> CohortFiles:
    """Make a cohort whose folds, fixed by a column, hold events each; not yet written."""
    root.mkdir(parents=True, exist_ok=True)
    return cohort_files(root, patients=patients, **fields)


def loaded(files: CohortFiles, **how: Any) -> Cohort:
    """Write a cohort and load it."""
    return load_cohort(files.write(), **how)


def bits(model: SurvivalFusion) -> dict[str, Any]:
    """Everything that a fitted model learned, so that two models can be compared bit by bit."""
    fitted = model.fitted
    assert fitted is not None
    described, tensors = fitted.transforms.state()
    found: dict[str, Any] = {
        "transforms": to_json(described),
        "calibrator": to_json(fitted.calibrator.to_dict()),
        "risk_cuts": fitted.risk_cuts.tobytes(),
        "epochs": tuple(fitted.summary["epochs"]),
    }
    found |= {
        f"transforms/{name}": np.asarray(array).tobytes()
        for name, array in tensors.items()
    }
    described, arrays = fitted.model.state()
    found["model"] = to_json(described)
    found |= {f"model/{name}": array.tobytes() for name, array in arrays.items()}
    return found


def members(model: SurvivalFusion) -> tuple[FusionNetwork, ...]:
    """Networks of a fitted model."""
    assert model.fitted is not None
    assert isinstance(model.fitted.model, NetworkEnsemble)
    return model.fitted.model.networks


def fails_with(code: int) -> Callable[..., NoReturn]:
    """Make a system call that always fails with this error of a disk."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


class Stopped(Exception):
    """A process that ends in the middle of a fit, as far as a test can tell."""


class StopAfter(Hook):
    """Ends the training run whose label holds `label` once epoch `epoch` is in its checkpoint."""

    def __init__(self, label: str, epoch: int) -> None:
        self.label, self.epoch = label, epoch

    def on_checkpoint(self, run: Run, path: Path) -> None:
        if self.label in run.label and len(run.history) == self.epoch:
            raise Stopped


class Diary(Hook):
    """Remembers each epoch that was really computed, as (label, number)."""

    def __init__(self) -> None:
        self.epochs: list[tuple[str, int]] = []

    def on_epoch_start(self, run: Run, epoch: int) -> None:
        self.epochs.append((run.label, epoch))


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


def commander(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Give a function that runs a command line in this process, through its real last door."""

    def run(*words: str | Path) -> Ended:
        arguments: Sequence[str] = [str(word) for word in words]
        monkeypatch.setattr("sys.argv", ["survfuse", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        told = capsys.readouterr()
        return Ended(0 if code is None else int(code), told.out, told.err)

    return run
