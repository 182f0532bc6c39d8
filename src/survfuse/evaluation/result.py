"""What a cross-validation found: predictions, metrics, checks; written, compared, reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from survfuse._errors import ConfigError, InputError, listed
from survfuse._places import disk_errors, try_file, try_folder
from survfuse._registry import resolve
from survfuse._storage import (
    atomic_path,
    read_json,
    sha256_file,
    write_json,
    write_text,
)
from survfuse.config import RunConfig, to_yaml
from survfuse.evaluation.folds import Folds
from survfuse.evaluation.ranking import concordance_difference
from survfuse.readers.cell_text import as_text
from survfuse.survival.estimate import Estimate

FORMAT, VERSION = "survfuse-run", 1
UNFINISHED = "unfinished"
HASHED = {"config": "config.yaml", "predictions": "predictions.csv"}
FILES = (
    "predictions.csv",
    "comparators.csv",
    "external.csv",
    "metrics.json",
    "performance.json",
    "checks.json",
    "cohort.json",
    "config.yaml",
)
RECORD = "run.json"


@dataclass(frozen=True)
class Result:
    """Cross-validated predictions of a model and its baselines on the same folds.

    Attributes
    ----------
    name : str
        The model's name.
    models : mapping of name to DataFrame
        Predictions of the model and of every baseline: `patient_id, repeat,
        fold, time, event, log_risk, predicted_time, survival_<horizon>…, risk_group`.
    estimates : mapping of model to mapping of metric to Estimate
    checks : list of dict
        Numbered doubts: `id, name, status, evidence, advice`.
    cohort : dict
        The cohort as the report tells it.
    record : dict
        Versions, seeds, hashes, times.
    folds : mapping of model to Folds
        The same predictions with exact curves and the training patients' outcome.
    performance : dict
        The tables behind the report's figures, increments and controls.
    config : RunConfig or None
        The resolved configuration; None for predictions of another program.
    out : path or None
        Folder the run was written to.
    """

    name: str
    models: Mapping[str, pd.DataFrame]
    estimates: Mapping[str, Mapping[str, Estimate]]
    checks: list[dict[str, Any]]
    cohort: dict[str, Any]
    record: dict[str, Any]
    folds: Mapping[str, Folds]
    performance: dict[str, Any]
    config: RunConfig | None = None
    out: Path | None = None

    @property
    def predictions(self) -> pd.DataFrame:
        """Predictions of the model itself."""
        return self.models[self.name]

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per model and metric: `model, metric, value, se, low, high, n, events, note`."""
        rows = [
            {"model": model, "metric": metric, **asdict(estimate)}
            for model, metrics in self.estimates.items()
            for metric, estimate in metrics.items()
        ]
        return pd.DataFrame(rows)

    def metrics_dict(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Metrics as `metrics.json` holds them."""
        return {
            model: {metric: asdict(estimate) for metric, estimate in metrics.items()}
            for model, metrics in self.estimates.items()
        }

    def compare(self, other: Result) -> Estimate:
        """Uno's C of this model minus that of `other`, paired on the same patients and folds.

        Raises
        ------
        NotComputableError
            When the two runs do not share patients and folds.
        """
        return concordance_difference(
            self.folds[self.name],
            other.folds[other.name],
            self.cohort["tau"],
        )

    def write(self, folder: Path | str) -> Path:
        """Write the run's files: predictions, comparators, metrics, performance, checks, cohort, config, run.

        Parameters
        ----------
        folder : path
            Files of the same names in it are replaced, each whole, where they are of a run of this kind.

        Raises
        ------
        InputError
            When the folder holds files of others under these names, or cannot be written.
        """
        out = try_run_folder(folder, foreign="input" in self.record["hashes"])
        with disk_errors(out):
            write_record(out, {**self.record, "state": UNFINISHED})
            content = self._content()
            for name in FILES:
                if name in content:
                    _WRITERS[Path(name).suffix](out / name, content[name])
                else:  # of an earlier run that had it
                    (out / name).unlink(missing_ok=True)
            files = {name: sha256_file(out / name) for name in content}
            hashes = {
                name: files[file] for name, file in HASHED.items() if file in files
            }
            write_record(
                out,
                {
                    **self.record,
                    "hashes": {**self.record["hashes"], **hashes},
                    "files": files,
                },
            )
        return out

    def _content(self) -> dict[str, Any]:
        """What each file holds: a table, JSON or text."""
        performance = dict(self.performance)
        content: dict[str, Any] = {
            "predictions.csv": self.predictions,
            "metrics.json": self.metrics_dict(),
            "performance.json": performance,
            "checks.json": self.checks,
            "cohort.json": self.cohort,
        }
        others = [
            table.assign(model=name)
            for name, table in self.models.items()
            if name != self.name
        ]
        if others:
            both = pd.concat(others, ignore_index=True)
            content["comparators.csv"] = both[["model", *both.columns.drop("model")]]
        if performance.get("external") is not None:
            external = dict(performance["external"])
            content["external.csv"] = external.pop("predictions")
            performance["external"] = external
        if self.config is not None:
            content["config.yaml"] = to_yaml(self.config)
        return content

    def report(self, folder: Path | str | None = None) -> Path:
        """Write the report page, and the run's files where they are not there yet.

        Parameters
        ----------
        folder : path, optional
            The run's own folder by default.

        Raises
        ------
        ConfigError
            When no folder is given and the run has none.
        """
        place = Path(folder) if folder is not None else self.out
        if place is None:
            raise ConfigError(
                "this run has no folder: call report(FOLDER), or cross_validate(…, out=FOLDER)",
            )
        if place != self.out:
            self.write(place)
        path: Path = resolve("survfuse.report:write_report")(place)
        return path


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV atomically; numbers in their shortest exact form, so that they read back the same.

    Texts that a spreadsheet would take for formulas get an apostrophe, which
    :func:`survfuse.evaluation.external_predictions.read_cells` takes away.
    """
    written = table.copy(deep=False)
    for name in table.columns:
        if not is_numeric_dtype(table[name].dtype):
            cells = [
                as_text(cell) if isinstance(cell, str) else cell for cell in table[name]
            ]
            written[name] = pd.Series(cells, index=table.index, dtype=object)
    with atomic_path(path) as temporary:
        written.to_csv(temporary, index=False, lineterminator="\n")


_WRITERS: Mapping[str, Callable[[Path, Any], None]] = {
    ".csv": write_table,
    ".json": write_json,
    ".yaml": write_text,
}


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``, by which a folder is known to hold a run of ours."""
    write_json(out / RECORD, {"format": FORMAT, "version": VERSION, **record})


@contextmanager
def begun_record(out: Path, record: Mapping[str, Any]) -> Iterator[None]:
    """Claim a folder while a run begins in it; what an earlier run left there is kept.

    A run that fails before it keeps a cell leaves no claim.
    """
    new = not (out / RECORD).exists()
    if new:
        with disk_errors(out):
            write_record(out, {**record, "hashes": {}, "state": UNFINISHED})
    try:
        yield
    except BaseException:
        if new and not any(out.glob("cells/*")):
            (out / RECORD).unlink(missing_ok=True)
            with suppress(OSError):
                (out / "cells").rmdir()
        raise


def try_run_folder(folder: Path | str, *, foreign: bool = False) -> Path:
    """Make sure, before work begins, that a run can be written to a folder and replaces nothing of others.

    Parameters
    ----------
    folder : path
        May not exist yet.
    foreign : bool
        Whether predictions of another program are judged, rather than models of ours.

    Raises
    ------
    InputError
        When nothing can be written there, another run works there, or files that would be
        replaced are not of such a run.
    """
    out = try_folder(folder)
    if not foreign:
        try_folder(out / "cells")
    present = [name for name in (*FILES, RECORD) if os.path.lexists(out / name)]
    for name in present:
        try_file(out / name)
    if present and _kind(out / RECORD) != ("foreign" if foreign else "own"):
        kind = "an evaluation" if foreign else "a cross-validation"
        raise InputError(
            f"{out}: holds {listed(present)}, not written by {kind} of survfuse, which would replace them; "
            "choose another folder, or move these files away",
        )
    return out


def _kind(path: Path) -> str:
    """Say whose predictions the record of a run is about: "own", "foreign", or "" where it is no record."""
    try:
        record = read_json(path)
    except InputError:
        return ""
    if not isinstance(record, dict) or not isinstance(record.get("hashes"), dict):
        return ""
    versions = record.get("versions")  # records of earlier versions name no format
    ours = record.get("format") == FORMAT or (
        isinstance(versions, dict) and "survfuse" in versions
    )
    if not ours:
        return ""
    return "foreign" if "input" in record["hashes"] else "own"


def try_metrics(path: Path | str) -> Path:
    """Make sure, before work begins, that metrics can be written to a file and replace nothing else.

    Raises
    ------
    InputError
        When nothing can be written there, or a file that holds no metrics is there.
    """
    target = try_file(path)
    if target.exists() and not _holds_metrics(target):
        raise InputError(
            f"{target}: a file that holds no metrics is there; choose another name",
        )
    return target


def _holds_metrics(path: Path) -> bool:
    try:
        models = read_json(path)
    except InputError:
        return False
    if not (isinstance(models, dict) and models):
        return False
    entries = [
        entry
        for metrics in models.values()
        if isinstance(metrics, dict)
        for entry in metrics.values()
    ]
    return bool(entries) and all(
        isinstance(entry, dict) and "value" in entry for entry in entries
    )
