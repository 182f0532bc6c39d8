"""The files of one cross-validation run, read and checked once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse._errors import InputError, listed
from survfuse._gate import read_text
from survfuse._storage import read_json, sha256_file
from survfuse._yaml import SIZE_LIMIT, parse_yaml
from survfuse.config import parameters_of
from survfuse.evaluation.external_predictions import read_cells
from survfuse.evaluation.result import FILES, UNFINISHED
from survfuse.readers.table_files import FLAGS
from survfuse.report.performance import read_performance, require_estimate, under_loss

KEYS = ("patient_id", "repeat", "fold", "time", "event", "log_risk", "predicted_time")
COHORT_KEYS = ("name", "endpoint", "unit", "patients", "events")
COHORT_LISTS = {
    "flow": {"step", "patients"},
    "modalities": {"name", "patients"},
    "patterns": {"modalities", "patients"},
    "problems": {"message"},
}


NUMBER = (int, float)
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(
        ("name", "endpoint", "unit", "step", "note", "message", "model", "clinical"),
        (str,),
    ),
    **dict.fromkeys(
        (
            "severity",
            "where",
            "patient",
            "file",
            "column",
            "hint",
            "command",
            "started",
        ),
        (str,),
    ),
    **dict.fromkeys(("id", "status", "evidence", "advice", "finished"), (str,)),
    **dict.fromkeys(
        (
            "patients",
            "events",
            "features",
            "missing_share",
            "tau",
            "follow_up_median",
            "seconds",
        ),
        NUMBER,
    ),
    **dict.fromkeys(("flow", "patterns", "problems", "horizons", "notes"), (list,)),
    **dict.fromkeys(("versions", "hashes", "seeds", "files"), (dict,)),
}
"""What stands under a key of ``cohort.json``, ``run.json`` and ``checks.json``; null where nothing does."""


@dataclass(frozen=True)
class Run:
    """What a cross-validation run left in its folder.

    Attributes
    ----------
    predictions : DataFrame
        ``predictions.csv``: one row per patient and repeat; `event` is bool,
        `risk_group` float with NaN where there is none.
    comparators : DataFrame or None
        ``comparators.csv``, with a leading `model` column.
    metrics : mapping of model to mapping of metric to mapping
        ``metrics.json``.
    cohort, info : mapping
        ``cohort.json`` and ``run.json``.
    checks : sequence of mapping, or None
        ``checks.json``; None where the run wrote none.
    performance : mapping
        ``performance.json``, empty where absent.
    config : mapping
        ``config.yaml``, empty where absent; `config_text` is the file as it is.
    predictions_sha256 : str
        Hash of ``predictions.csv`` as it lies there now.
    changed : tuple of str
        Files that are absent or not as the run wrote them.
    """

    predictions: pd.DataFrame
    comparators: pd.DataFrame | None
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]
    cohort: Mapping[str, Any]
    info: Mapping[str, Any]
    checks: Sequence[Mapping[str, Any]] | None
    performance: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str
    predictions_sha256: str
    changed: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """Name of the main model."""
        return str(self.info["model"])

    @property
    def foreign(self) -> bool:
        """Whether the predictions were made elsewhere and only read and scored here."""
        return "input" in (self.info.get("hashes") or {})

    @property
    def judged(self) -> tuple[str, ...]:
        """Models with metrics, without those that are the model with something missing."""
        return tuple(
            name for name in self.metrics if name not in under_loss(self.performance)
        )

    @property
    def unit(self) -> str:
        """Unit of every time in the run."""
        return str(self.cohort["unit"])

    @property
    def horizons(self) -> tuple[float, ...]:
        """Times at which survival was predicted, rising, in the cohort's unit."""
        return tuple(sorted(float(h) for h in self.cohort.get("horizons") or ()))

    @property
    def horizon(self) -> float | None:
        """Middle horizon (the earlier of two), in the cohort's unit; None without horizons."""
        return self.horizons[(len(self.horizons) - 1) // 2] if self.horizons else None

    @property
    def first_repeat(self) -> pd.DataFrame:
        """Predictions of the first split: every patient once, all folds pooled."""
        repeats = self.predictions["repeat"]
        first: pd.DataFrame = self.predictions[repeats == repeats.min()]
        return first.reset_index(drop=True)


def read_run(out: Path | str) -> Run:
    """Read the folder of a cross-validation run.

    Parameters
    ----------
    out : path
        The folder. ``predictions.csv``, ``metrics.json``, ``cohort.json`` and
        ``run.json`` must be there; the rest may be absent and is then told so.

    Raises
    ------
    InputError
        When a file is absent or does not hold what it should: names the file,
        the key or column, and the row.
    """
    folder = Path(out)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected the output folder of a crossval run, found no such folder",
        )
    info = _info(folder / "run.json")
    metrics = _mapping(folder / "metrics.json", (str(info["model"]),))
    _require_estimates(folder / "metrics.json", metrics)
    comparators, checks = folder / "comparators.csv", folder / "checks.json"
    config_text, config = _config(folder / "config.yaml")
    return Run(
        predictions=read_predictions(folder / "predictions.csv"),
        comparators=read_predictions(comparators, model=True)
        if comparators.exists()
        else None,
        metrics=metrics,
        cohort=_cohort(folder / "cohort.json"),
        info=info,
        checks=_checks(checks) if checks.exists() else None,
        performance=read_performance(folder / "performance.json"),
        config=config,
        config_text=config_text,
        predictions_sha256=sha256_file(folder / "predictions.csv"),
        changed=tuple(_changed(folder, info)),
    )


def read_predictions(path: Path, *, model: bool = False) -> pd.DataFrame:
    """Read a table of out-of-fold predictions.

    Parameters
    ----------
    path : path
        CSV with the columns `patient_id`, `repeat`, `fold`, `time`, `event`,
        `log_risk`, `predicted_time`, any ``survival_<h>`` and `risk_group`.
    model : bool
        Whether a `model` column is required too.

    Raises
    ------
    InputError
        For a missing file or column, or a cell that is not a number: names the
        column and the line of the file.
    """
    raw = read_cells(path)
    absent = [
        name
        for name in (*KEYS, *(("model",) if model else ()))
        if name not in raw.columns
    ]
    if absent:
        raise InputError(
            f"{path}: expected column(s) {listed(absent)}, the file has {listed(raw.columns, 12)}",
        )
    if raw.empty and not model:
        raise InputError(f"{path}: holds no predictions")
    lines = raw.index
    raw = raw.reset_index(drop=True)
    frame = pd.DataFrame(
        {name: raw[name] for name in raw.columns if name in ("model", "patient_id")},
    )
    for name in raw.columns.drop(list(frame.columns)):
        frame[name] = _numbers(path, name, raw[name], lines)
    _refuse_gaps(path, frame, lines)
    frame["event"] = frame["event"] == 1
    if "risk_group" not in frame:
        frame["risk_group"] = np.nan
    return frame


def _numbers(
    path: Path,
    name: str,
    column: pd.Series[str],
    lines: pd.Index[int],
) -> pd.Series[float]:
    text = column.str.strip()
    if name == "event":
        values = text.str.lower().map(FLAGS)
    else:
        values = pd.to_numeric(text.where(text != ""), errors="coerce").astype(float)
    wrong = values.isna() & (text != "") & (text.str.lower() != "nan")
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{path}: column {name}, line {lines[row]}: expected a number, got {text.iloc[row]!r}",
        )
    return values


def _refuse_gaps(path: Path, frame: pd.DataFrame, lines: pd.Index[int]) -> None:
    for name in ("repeat", "fold", "time", "event"):
        gaps = np.flatnonzero(
            frame[name].isna() | ((frame[name] <= 0) & (name == "time")),
        )
        if gaps.size:
            wanted = "a time above 0" if name == "time" else "a value"
            row = int(gaps[0])
            raise InputError(
                f"{path}: column {name}, line {lines[row]}: expected {wanted}, got {frame[name][row]}",
            )


def _mapping(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(value).__name__}")
    absent = [key for key in keys if key not in value]
    if absent:
        raise InputError(
            f"{path}: expected key(s) {listed(absent)}, the file has {listed(value, 12)}",
        )
    return value


def _changed(folder: Path, info: Mapping[str, Any]) -> Iterator[str]:
    """Name the files of a run that are absent or not as it wrote them; early runs recorded one alone."""
    predictions = (info.get("hashes") or {}).get("predictions")
    recorded = info.get("files") or (
        {"predictions.csv": predictions} if predictions else {}
    )
    for name in FILES:
        if name in recorded and not (
            (folder / name).is_file() and sha256_file(folder / name) == recorded[name]
        ):
            yield name


def _info(path: Path) -> dict[str, Any]:
    info = _mapping(path, ("model",))
    if info.get("state") == UNFINISHED:
        command = info.get("command") or "the same call"
        raise InputError(
            f"{path}: this run has not ended; wait for it, or go on with it: {command}",
        )
    _require_kinds(path, info, ("model",))
    return info


def _require_kinds(
    where: Path | str,
    holder: Mapping[str, Any],
    needed: Collection[str] = (),
) -> None:
    """Refuse what is of another kind than every run writes under its key, or null where it is needed."""
    for key, value in holder.items():
        kinds = KINDS.get(key, (object,))
        fits = isinstance(value, kinds) and (
            kinds != NUMBER or not isinstance(value, bool)
        )
        if not fits and (value is not None or key in needed):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(
                f"{where}: expected a JSON {expected} under {key!r}, got {value!r}",
            )


def _require_estimates(path: Path, metrics: Mapping[str, Any]) -> None:
    for model, estimates in metrics.items():
        if not isinstance(estimates, dict) or not all(
            isinstance(e, dict) for e in estimates.values()
        ):
            raise InputError(
                f"{path}: expected {{metric: {{value, low, high}}}} under {model!r}",
            )
        for metric, estimate in estimates.items():
            require_estimate(f"{path}: {model}: {metric}", estimate)


def _cohort(path: Path) -> dict[str, Any]:
    cohort = _mapping(path, COHORT_KEYS)
    _require_kinds(path, cohort, COHORT_KEYS)
    for name, keys in COHORT_LISTS.items():
        rows = cohort.get(name) or []
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and row.keys() >= keys for row in rows
        ):
            wanted = ", ".join(sorted(keys))
            raise InputError(
                f"{path}: expected a list of objects under {name!r}, each with {wanted}",
            )
        for number, row in enumerate(rows, start=1):
            _require_kinds(f"{path}: {name}, row {number}", row, keys)
    _require_items(f"{path}: horizons", cohort.get("horizons") or (), NUMBER)
    for row in cohort.get("patterns") or ():
        if not isinstance(row["modalities"], list):
            raise InputError(
                f"{path}: patterns: modalities: expected a list, got {row['modalities']!r}",
            )
        _require_items(f"{path}: patterns: modalities", row["modalities"], (str,))
    return {"follow_up_median": None, "tau": None, **cohort}


def _require_items(where: str, items: Iterable[Any], kinds: tuple[type, ...]) -> None:
    for item in items:
        if not isinstance(item, kinds) or isinstance(item, bool):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(
                f"{where}: expected a list of {expected}, got {item!r} in it",
            )


def _checks(path: Path) -> list[dict[str, Any]]:
    checks = read_json(path)
    if not isinstance(checks, list) or not all(
        isinstance(check, dict) for check in checks
    ):
        raise InputError(
            f"{path}: expected a list of objects with id, name, status, evidence, advice",
        )
    for number, check in enumerate(checks, start=1):
        _require_kinds(
            f"{path}: check {number}",
            check,
            ("id", "name", "status", "evidence", "advice"),
        )
    return checks


def _config(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.exists():
        return "", {}
    text = read_text(path, limit=SIZE_LIMIT)
    config = parse_yaml(text, path, error=InputError)
    if not isinstance(config, dict):
        raise InputError(
            f"{path}: expected a mapping of sections, got {type(config).__name__}",
        )
    if isinstance(config.get("model"), dict):
        config["model"] = parameters_of(config["model"])
    return text, config
