"""What a cross-validation found: predictions, metrics, checks; written, compared, reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._errors import ConfigError
from survfuse._registry import resolve
from survfuse._storage import atomic_path
from survfuse.config import RunConfig
from survfuse.evaluation.combine import concordance_difference
from survfuse.survival.metrics import Estimate


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
    config : RunConfig
        The resolved configuration.
    record : dict
        Versions, seeds, hashes, times.
    out : path or None
        Folder the run was written to.
    """

    name: str
    models: Mapping[str, pd.DataFrame]
    estimates: Mapping[str, Mapping[str, Estimate]]
    checks: list[dict[str, Any]]
    cohort: dict[str, Any]
    config: RunConfig
    record: dict[str, Any]
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
        return concordance_difference(self.predictions, other.predictions, self.config.tau)

    def report(self, folder: Path | str | None = None) -> Path:
        """Write the report page; `folder` defaults to the run's own.

        Raises
        ------
        ConfigError
            When the run was not written to a folder.
        """
        place = Path(folder) if folder is not None else self.out
        if place is None or not (place / "run.json").is_file():
            raise ConfigError("a report is drawn from a run's files; call cross_validate(…, out=FOLDER)")
        path: Path = resolve("survfuse.report:write_report")(place)
        return path


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV atomically; numbers in their shortest exact form, so that they read back the same."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
