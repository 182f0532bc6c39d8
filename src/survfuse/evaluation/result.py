"""What a cross-validation found: predictions, metrics, checks; written, compared, reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from survfuse._errors import ConfigError
from survfuse._registry import resolve
from survfuse._storage import atomic_path, sha256_file, write_json, write_text
from survfuse.config import RunConfig, to_yaml
from survfuse.evaluation.folds import Folds
from survfuse.evaluation.ranking import concordance_difference
from survfuse.readers.words import as_text
from survfuse.survival.estimate import Estimate

HASHED = {"config": "config.yaml", "predictions": "predictions.csv"}


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
        return concordance_difference(self.folds[self.name], other.folds[other.name], self.cohort["tau"])

    def write(self, folder: Path | str) -> Path:
        """Write the run's files: predictions, comparators, metrics, performance, checks, cohort, config, run.

        Parameters
        ----------
        folder : path
            Files of the same names in it are replaced, each whole.
        """
        out = Path(folder)
        write_table(out / "predictions.csv", self.predictions)
        others = [table.assign(model=name) for name, table in self.models.items() if name != self.name]
        if others:
            both = pd.concat(others, ignore_index=True)
            write_table(out / "comparators.csv", both[["model", *both.columns.drop("model")]])
        write_json(out / "metrics.json", self.metrics_dict())
        performance = dict(self.performance)
        external = performance.get("external")
        if external is not None:
            external = dict(external)
            write_table(out / "external.csv", external.pop("predictions"))
            performance["external"] = external
        write_json(out / "performance.json", performance)
        write_json(out / "checks.json", self.checks)
        write_json(out / "cohort.json", self.cohort)
        if self.config is not None:
            write_text(out / "config.yaml", to_yaml(self.config))
        written = {name: sha256_file(out / file) for name, file in HASHED.items() if (out / file).exists()}
        write_json(out / "run.json", {**self.record, "hashes": {**self.record["hashes"], **written}})
        return out

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
            raise ConfigError("this run has no folder: call report(FOLDER), or cross_validate(…, out=FOLDER)")
        if place != self.out:
            self.write(place)
        path: Path = resolve("survfuse.report:write_report")(place)
        return path


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV atomically; numbers in their shortest exact form, so that they read back the same.

    Texts that a spreadsheet would take for formulas get an apostrophe, which
    :func:`survfuse.evaluation.foreign.read_cells` takes away.
    """
    written = table.copy(deep=False)
    for name in table.columns:
        if not is_numeric_dtype(table[name].dtype):
            cells = [as_text(cell) if isinstance(cell, str) else cell for cell in table[name]]
            written[name] = pd.Series(cells, index=table.index, dtype=object)
    with atomic_path(path) as temporary:
        written.to_csv(temporary, index=False, lineterminator="\n")
