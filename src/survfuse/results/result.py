"""The result of a run: predictions, metrics, checks; written to a folder, read, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from survfuse._errors import ConfigError, InputError, listed
from survfuse._gate import read_text
from survfuse._notebook import html_table
from survfuse._places import disk_errors
from survfuse._registry import resolve
from survfuse._storage import read_json, sha256_file, write_json, write_text
from survfuse._yaml import SIZE_LIMIT, parse_yaml
from survfuse.config import RunConfig, parameters_of, to_yaml
from survfuse.results import plots, run_tables, term_weights
from survfuse.results.csv_files import (
    read_predictions,
    read_table,
    read_terms,
    write_table,
)
from survfuse.results.folder import (
    FILES,
    RECORD,
    UNFINISHED,
    changed_files,
    try_run_folder,
    write_record,
)
from survfuse.results.model_roles import model_table
from survfuse.results.prognosis import Prognosis, compute
from survfuse.results.run_tables import TYPES, names_with_loss, plain_records
from survfuse.results.schema import (
    CheckRecord,
    CohortRecord,
    LearningCurveRow,
    Metrics,
    Performance,
    RunRecord,
    frame,
    validate,
)
from survfuse.survival.estimate import Estimate, rounded

if TYPE_CHECKING:
    from survfuse.evaluation.folds import Folds

HASHED = {"config": "config.yaml", "predictions": "predictions.csv"}
HEADLINE = {
    "uno_c": "Uno's C",
    "isbs": "integrated Brier score",
    "observed_expected": "observed / expected",
}
SHOWN = 15
"""Models and notes that a notebook shows."""
LARGEST = 1e6  # value of a learning curve that a figure can show


@dataclass(frozen=True, repr=False)
class Result:
    """Predictions of a model and its baselines on the same folds, and everything scored on them.

    Attributes
    ----------
    name : str
        The model's name.
    models : mapping of name to DataFrame
        Predictions of the model and of every baseline: `patient_id, repeat,
        fold, time, event, log_risk, predicted_time, survival_<horizon>…, risk_group`.
    estimates : mapping of model to mapping of metric to Estimate
        Read from an early run, `n` and `events` may be None.
    checks : list of CheckRecord or None
        Numbered checks; None where a folder has none.
    cohort : CohortRecord
    record : RunRecord
        Versions, seeds, hashes, times.
    folds : mapping of model to Folds
        The same predictions with exact curves and the training patients' outcome; empty where
        the result was read from a folder.
    performance : Performance
        The tables behind the report's figures, increments and controls.
    config : RunConfig or None
        The resolved configuration; None for predictions of another program, and where the
        result was read from a folder.
    external : DataFrame or None
        Predictions for another cohort, with a `model` column.
    weights : DataFrame or None
        Weight of each term of the model in each fit, with its interval: one
        :class:`survfuse.results.schema.WeightRow` a row; None where the model is no stack.
    terms : DataFrame or None
        Terms of the model's out-of-fold log-risks: `patient_id, repeat, fold, constant` and a
        column per term; None where they were not computed.
    out : path or None
        Folder the run was written to.
    config_text : str
        The text of ``config.yaml``; empty where there is none.
    """

    name: str
    models: Mapping[str, pd.DataFrame]
    estimates: Mapping[str, Mapping[str, Estimate]]
    checks: Sequence[CheckRecord] | None
    cohort: CohortRecord
    record: RunRecord
    folds: Mapping[str, Folds]
    performance: Performance
    config: RunConfig | None = None
    external: pd.DataFrame | None = None
    weights: pd.DataFrame | None = None
    terms: pd.DataFrame | None = None
    out: Path | None = None
    config_text: str = field(default="")

    @classmethod
    def read(cls, folder: Path | str) -> Result:
        """Read the folder of a run.

        Parameters
        ----------
        folder : path
            ``predictions.csv``, ``metrics.json``, ``cohort.json`` and ``run.json`` must be
            there; the other files may be absent.

        Raises
        ------
        InputError
            When a file is absent or does not hold what it should: names the file,
            the key or column, and the row.
        """
        out = Path(folder)
        if not out.is_dir():
            raise InputError(
                f"{out}: expected the output folder of a crossval run, found no such folder",
            )
        record: RunRecord = _read(RunRecord, out / RECORD)
        if record.get("state") == UNFINISHED:
            command = record.get("command") or "the same call"
            raise InputError(
                f"{out / RECORD}: this run has not ended; wait for it, or go on with it: {command}",
            )
        name, config = record["model"], out / "config.yaml"
        metrics = _read(Metrics, out / "metrics.json")
        if name not in metrics:
            raise InputError(f"{out / 'metrics.json'}: expected key(s) {name}")
        result = cls(
            name=name,
            models={
                name: read_predictions(out / "predictions.csv"),
                **_comparators(out),
            },
            estimates=_estimates(metrics),
            checks=_read_optional(list[CheckRecord], out / "checks.json", None),
            cohort=_read(CohortRecord, out / "cohort.json"),
            record=record,
            folds={},
            performance=_performance(out / "performance.json"),
            weights=_weights(out / "weights.csv"),
            terms=_terms(out / "terms.csv"),
            out=out,
            config_text=read_text(config, limit=SIZE_LIMIT) if config.exists() else "",
        )
        _ = result.settings
        return result

    def __repr__(self) -> str:
        """One line per model with its main metrics."""
        metrics = self.metrics
        title = f"Result of {self.name!r}"
        if metrics.empty:
            return title
        values = metrics.pivot(
            index="model",
            columns="metric",
            values="value",
        )
        columns = values.columns.intersection(list(HEADLINE))
        table = values.loc[list(self.estimates), columns].astype(float).round(3)
        return f"{title}\n{table.to_string(max_rows=30, max_cols=4)}"

    def _repr_html_(self) -> str:
        rows = []
        for model in self.scored_models[:SHOWN]:
            estimates = self.estimates[model]
            rows.append([model, *(_interval(estimates.get(key)) for key in HEADLINE)])
        lines = []
        if len(self.scored_models) > SHOWN:
            lines.append(
                f"and {len(self.scored_models) - SHOWN} more models: .metrics has all"
            )
        doubts = [
            one for one in self.checks or () if one["status"] in {"failed", "warning"}
        ]
        if doubts:
            lines.append(
                f"doubts: {listed((one['id'] for one in doubts), SHOWN)}: .checks"
            )
        lines += list(self.record.get("notes") or ())[:SHOWN]
        title = f"Result of {self.name}: {self.cohort['patients']} patients, times in {self.unit}"
        return html_table(title, ["model", *HEADLINE.values()], rows, lines)

    @property
    def predictions(self) -> pd.DataFrame:
        """Predictions of the model itself."""
        return self.models[self.name]

    @property
    def first_repeat(self) -> pd.DataFrame:
        """Predictions of the first split: every patient once, all folds pooled."""
        repeats = self.predictions["repeat"]
        first: pd.DataFrame = self.predictions[repeats == repeats.min()]
        return first.reset_index(drop=True)

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per model and metric: `model, metric` and the fields of an estimate."""
        rows = []
        for model, metrics in self.estimates.items():
            for metric, estimate in metrics.items():
                rows.append({"model": model, "metric": metric, **asdict(estimate)})
        return pd.DataFrame(rows)

    @cached_property
    def prognosis(self) -> Prognosis:
        """Predicted against observed: tables, the log-rank test, and why a table is empty."""
        return compute(self)

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that figures are drawn from, by name; one without a row has its columns.

        - `models`: metrics of every compared model, with its role
        - `risk_curves`, `risk_groups`, `at_risk`: Kaplan–Meier survival of the risk groups
        - `calibration`, `times`, `time_bins`: see :mod:`survfuse.results.prognosis`
        - `smooth_calibration`, `prediction_bins`, `time_curves`, `decision`, `increments`,
          `subgroups`, `robustness`, `learning_curve` and others of
          :mod:`survfuse.results.run_tables`
        """
        return {
            "models": model_table(self),
            **self.prognosis.frames,
            **run_tables.tables(self.performance),
        }

    @property
    def kaplan_meier(self) -> pd.DataFrame:
        """Observed survival of the risk groups: a row is a time of an event or a censoring.

        Returns
        -------
        DataFrame
            `group`, `time`, `survival`, `low`, `high` (95 %), `at_risk`, `events`, `censored`.
        """
        return self.tables["risk_curves"]

    plot_kaplan_meier = plots.plot_kaplan_meier
    plot_calibration = plots.plot_calibration
    plot_forest = plots.plot_forest
    plot_decision = plots.plot_decision
    plot_time_curves = plots.plot_time_curves
    plot_increments = plots.plot_increments
    plot_subgroups = plots.plot_subgroups
    plot_learning_curve = plots.plot_learning_curve

    @property
    def learning_curve(self) -> pd.DataFrame | None:
        """One row per model, number of training patients and metric; None where none was made.

        `model, patients, events, metric, value, low, high, subsamples, note`; see
        :class:`survfuse.results.schema.LearningCurveRow`.
        """
        rows = self.performance.get("learning_curve")
        if rows is None:
            return None
        table = frame(TYPES["learning_curve"], rows)
        return table.astype({"patients": int, "subsamples": int})

    @property
    def agreement(self) -> pd.DataFrame | None:
        """How far models of halves of the cohort explain alike; None where not measured.

        One :class:`survfuse.results.schema.AgreementRow` a row.
        """
        explained = self.performance.get("explanations")
        rows = None if explained is None else explained.get("agreement")
        return None if rows is None else frame(TYPES["agreement"], rows)

    @property
    def characteristics(self) -> pd.DataFrame | None:
        """Table 1 of the cohort; None where the run did not record it.

        One :class:`survfuse.results.schema.CharacteristicRow` a row.
        """
        rows = self.performance.get("characteristics")
        return None if rows is None else frame(TYPES["characteristics"], rows)

    @property
    def clinical_hazards(self) -> pd.DataFrame | None:
        """Hazard ratios of the clinical columns; None without them, or of an older run.

        One :class:`survfuse.results.schema.HazardRow` a row.
        """
        record = self.performance.get("clinical_hazards")
        rows = None if record is None else record["rows"]
        return None if rows is None else frame(TYPES["clinical_hazards"], rows)

    def metrics_dict(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Metrics as `metrics.json` holds them."""
        return {
            model: dict(zip(metrics, map(asdict, metrics.values()), strict=True))
            for model, metrics in self.estimates.items()
        }

    @property
    def scored_models(self) -> tuple[str, ...]:
        """Models with metrics, without those that are the model with some inputs missing."""
        hidden = names_with_loss(self.performance)
        return tuple(name for name in self.estimates if name not in hidden)

    @property
    def foreign(self) -> bool:
        """Whether the predictions were made by another program and only scored here."""
        return "input" in (self.record.get("hashes") or {})

    @property
    def unit(self) -> str:
        """Unit of every time in the run."""
        return str(self.cohort["unit"])

    @property
    def horizons(self) -> tuple[float, ...]:
        """Times at which survival was predicted, rising, in the cohort's unit."""
        return tuple(sorted(map(float, self.cohort.get("horizons") or ())))

    @property
    def horizon(self) -> float | None:
        """Middle horizon (the earlier of two), in the cohort's unit; None without horizons."""
        return self.horizons[(len(self.horizons) - 1) // 2] if self.horizons else None

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The sections of ``config.yaml``, empty where there is none."""
        if not self.config_text:
            return {}
        where = self.out / "config.yaml" if self.out else "config.yaml"
        settings = parse_yaml(self.config_text, where, error=InputError)
        if not isinstance(settings, dict):
            raise InputError(
                f"{where}: expected a mapping of sections, got {type(settings).__name__}",
            )
        if isinstance(settings.get("model"), dict):
            settings["model"] = parameters_of(settings["model"])
        return settings

    def changed(self) -> tuple[str, ...]:
        """Names of the run's files that are absent or not as the run wrote them."""
        return changed_files(self.out, self.record) if self.out else ()

    def compare(self, other: Result) -> Estimate:
        """Uno's C of this model minus that of `other`, paired on the same patients and folds.

        Raises
        ------
        NotComputableError
            When the two runs do not share patients and folds.
        """
        difference = resolve("survfuse.evaluation.ranking:concordance_difference")
        paired: Estimate = difference(
            self.folds[self.name],
            other.folds[other.name],
            self.cohort["tau"],
        )
        return paired

    def write(self, folder: Path | str) -> Path:
        """Write the run's files: predictions, metrics, performance, checks, cohort, config, run.

        Parameters
        ----------
        folder : path
            Files of the same names in it are replaced, each whole, if they are of such a run.

        Raises
        ------
        InputError
            When the folder holds files of others under these names, or cannot be written.
        """
        record: dict[str, Any] = {**self.record}
        out = try_run_folder(folder, foreign=self.foreign)
        with disk_errors(out):
            write_record(out, {**record, "state": UNFINISHED})
            content = self._content()
            for name in FILES:
                if name not in content:  # an earlier run may have had it
                    (out / name).unlink(missing_ok=True)
                elif name.endswith(".csv"):
                    table = content[name]
                    flags = dict.fromkeys(table.select_dtypes("bool"), int)
                    write_table(out / name, table.astype(flags))
                elif name.endswith(".json"):
                    write_json(out / name, content[name])
                else:
                    write_text(out / name, content[name])
            files = {name: sha256_file(out / name) for name in content}
            hashes = {
                name: files[file] for name, file in HASHED.items() if file in files
            }
            hashes = {**record["hashes"], **hashes}
            write_record(out, {**record, "hashes": hashes, "files": files})
        return out

    def _content(self) -> dict[str, Any]:
        """What each file holds: a table, JSON or text."""
        content: dict[str, Any] = {
            "predictions.csv": self.predictions,
            "metrics.json": self.metrics_dict(),
            "performance.json": self.performance,
            "checks.json": self.checks,
            "cohort.json": self.cohort,
            "external.csv": self.external,
            "weights.csv": self.weights,
            "learning_curve.csv": self.learning_curve,
            "terms.csv": self.terms,
            "agreement.csv": self.agreement,
            "characteristics.csv": self.characteristics,
            "clinical_hazards.csv": self.clinical_hazards,
            "config.yaml": to_yaml(self.config)
            if self.config
            else self.config_text or None,
        }
        others = {
            name: table for name, table in self.models.items() if name != self.name
        }
        if others:
            both = pd.concat(others, names=["model"]).reset_index("model")
            content["comparators.csv"] = both
        return {name: value for name, value in content.items() if value is not None}

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


def _interval(estimate: Estimate | None) -> str:
    """Value and interval, for a cell."""
    if estimate is None or estimate.value is None:
        return "not computable"
    text = rounded(estimate.value)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{rounded(estimate.low)}, {rounded(estimate.high)}]"


def _read(kind: Any, path: Path) -> Any:
    return validate(kind, read_json(path), path)


def _read_optional(
    kind: Any,
    path: Path,
    default: Any,
) -> Any:
    return _read(kind, path) if path.exists() else default


def _performance(path: Path) -> Performance:
    """The file's values; each row of a learning curve can be drawn."""
    performance: Performance = _read_optional(Performance, path, {})
    for number, row in enumerate(performance.get("learning_curve") or (), start=1):
        if not _is_drawable(row):
            raise InputError(
                f"{path}: learning_curve, row {number}: expected a model, a metric, whole numbers "
                f"of patients and subsamples, and values of at most {LARGEST:g} in size, got "
                f"{list(row.values())}; copy the file again from where the run was made",
            )
    return performance


def _is_drawable(row: LearningCurveRow) -> bool:
    counts = [row["patients"], row["subsamples"]]
    if not all(one is not None and float(one).is_integer() for one in counts):
        return False
    values = [row["value"] or 0, row["low"] or 0, row["high"] or 0]
    known = bool(row["model"] and row["metric"]) and (row["patients"] or 0) >= 1
    return known and max(map(abs, values)) <= LARGEST


def _comparators(out: Path) -> dict[str, pd.DataFrame]:
    path = out / "comparators.csv"
    if not path.exists():
        return {}
    tables = read_predictions(path, model=True).groupby("model", sort=False)
    return {str(name): part.drop(columns="model") for name, part in tables}


def _terms(path: Path) -> pd.DataFrame | None:
    return read_terms(path) if path.exists() else None


def _weights(path: Path) -> pd.DataFrame | None:
    if not path.exists():
        return None
    table = read_table(path, term_weights.TYPES, term_weights.REQUIRED)
    term_weights.refuse_damaged(table, path)
    return term_weights.weight_table(plain_records(table))


def _estimates(metrics: Metrics) -> dict[str, dict[str, Estimate]]:
    """Estimates of ``metrics.json``, with None and empty notes where early runs wrote nothing."""
    names = [field.name for field in fields(Estimate)]
    estimates: dict[str, dict[str, Estimate]] = {}
    for model, records in metrics.items():
        estimates[model] = {}
        for metric, record in records.items():
            values: dict[str, Any] = {**dict.fromkeys(names), **record}
            for name in ("note", "assumptions"):
                values[name] = values[name] or ""
            known = {name: values[name] for name in names}
            estimates[model][metric] = Estimate(**known)
    return estimates
