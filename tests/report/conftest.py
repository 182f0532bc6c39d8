"""A made-up run of 150 patients, as crossval leaves it on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from report.performed import add_performance
from report.reading import Page, read
from survfuse._storage import sha256_file

UNDRAWN = ("patterns", "risk_groups", "grouped_calibration")
HORIZONS = (12.0, 36.0, 60.0)
Builder = Callable[..., Path]


def harrell(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Pair by pair, slow and plain."""
    pairs = (time[:, None] < time[None, :]) & event[:, None]
    return float(
        (pairs * ((risk[:, None] > risk) + 0.5 * (risk[:, None] == risk))).sum()
        / pairs.sum(),
    )


def build_run(
    out: Path,
    *,
    patients: int = 150,
    folds: int = 5,
    repeats: int = 1,
    model: str = "default:concat",
    comparators: Mapping[str, float] | None = None,
    horizons: tuple[float, ...] = HORIZONS,
    curves: bool = True,
    delta: bool = True,
    seed: int = 7,
) -> Path:
    """Write the files of a run; `comparators` gives each one's noise."""
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    noise = (
        {"ridge:clinical": 1.6, "ridge:rna": 2.6}
        if comparators is None
        else dict(comparators)
    )
    risk = rng.normal(size=patients)
    truth = np.ceil(rng.exponential(45 / np.exp(0.8 * risk)))
    censoring = np.ceil(rng.uniform(10, 96, size=patients))
    time, event = np.minimum(truth, censoring), truth <= censoring
    ids = [f"PAT-{i:04d}" for i in range(patients)]

    split = [rng.permutation(patients) % folds for _ in range(repeats)]

    def table(spread: float) -> pd.DataFrame:
        parts = []
        for repeat in range(repeats):
            seen = risk + rng.normal(scale=spread, size=patients)
            part = pd.DataFrame(
                {"patient_id": ids, "repeat": repeat, "fold": split[repeat]},
            )
            part["time"], part["event"] = time, event.astype(int)
            part["log_risk"] = seen
            hazard = np.exp(0.8 * seen / (1 + spread**2)) / 40
            median = np.round(np.log(2) / hazard, 1)
            part["predicted_time"] = np.where(median <= 90, median, np.nan)
            for horizon in horizons:
                part[f"survival_{horizon:g}"] = (
                    np.exp(-hazard * horizon) if curves else np.nan
                )
            part["risk_group"] = np.searchsorted(
                np.quantile(seen, [1 / 3, 2 / 3]),
                seen,
            )
            parts.append(part.sort_values(["fold", "patient_id"]))
        return pd.concat(parts, ignore_index=True)

    tables = {
        model: table(0.8),
        **{name: table(spread) for name, spread in noise.items()},
    }
    tables[model].to_csv(out / "predictions.csv", index=False)
    if noise:
        others = [tables[name].assign(model=name) for name in noise]
        both = pd.concat(others)
        both[["model", *both.columns.drop("model")]].to_csv(
            out / "comparators.csv",
            index=False,
        )

    def estimate(value: float, se: float, note: str = "") -> dict[str, Any]:
        counts = {"n": patients, "events": int(event.sum()), "note": note}
        return {
            "value": value,
            "low": value - 1.96 * se,
            "high": value + 1.96 * se,
            "se": se,
            **counts,
        }

    metrics: dict[str, dict[str, Any]] = {}
    for name, frame in tables.items():
        c = harrell(
            frame["time"].to_numpy(),
            frame["event"].to_numpy(bool),
            frame["log_risk"].to_numpy(),
        )
        metrics[name] = {
            "harrell_c": estimate(c, 0.027),
            "uno_c": estimate(c - 0.008, 0.031),
        }
    if delta and "ridge:clinical" in metrics:
        reference = metrics["ridge:clinical"]["uno_c"]["value"]
        for name in metrics:
            if name != "ridge:clinical":
                difference = estimate(metrics[name]["uno_c"]["value"] - reference, 0.03)
                metrics[name]["delta_uno_c_vs_clinical"] = difference
    _write(out / "metrics.json", metrics)
    _write(out / "cohort.json", cohort_json(patients, event, horizons))
    _write(out / "checks.json", CHECKS)
    config = {
        "model": {"preset": "default", "fusion": "concat", "selection": "inner_folds"}
        | {
            "calibration": "breslow_oof" if curves else "km_rank",
            "loss": "efron",
            "seed": 2021,
        },
        "crossval": {"folds": folds, "repeats": repeats, "seed": 0},
        "horizons": list(horizons),
        "tau": 60.0,
    }
    (out / "config.yaml").write_text(
        yaml.safe_dump(config, sort_keys=False),
        encoding="utf-8",
    )
    record = {
        "model": model,
        "clinical": "ridge:clinical" if "ridge:clinical" in metrics else None,
        "started": "2025-03-04T10:00:00+00:00",
        "finished": "2025-03-04T10:21:40+00:00",
        "seconds": 1300.0,
        "versions": {
            "survfuse": "0.1.0",
            "python": "3.12.3",
            "torch": "2.13.0",
            "numpy": "2.3.0",
        },
        "seeds": {"splits": 0, "model": 2021},
        "hashes": {"cohort": "ab" * 32, "config": sha256_file(out / "config.yaml")}
        | {"predictions": sha256_file(out / "predictions.csv")},
        "command": "survfuse crossval cohort.yaml -o out/",
        "notes": [
            "default:concat, repeat 1, fold 2: PAT-0003: no slide: predicted from the other modalities",
        ],
    }
    _write(out / "run.json", record)
    return out


def cohort_json(
    patients: int,
    event: np.ndarray,
    horizons: tuple[float, ...],
) -> dict[str, Any]:
    events = int(event.sum())
    slides, rna = patients - patients // 8, patients - patients // 4
    both = slides + rna - patients
    return {
        "name": "riverside bladder",
        "endpoint": "time to recurrence",
        "unit": "months",
        "patients": patients,
        "events": events,
        "flow": [
            {
                "step": "rows of patients.csv",
                "patients": patients + 12,
                "events": events + 3,
                "note": "",
            },
            {
                "step": "with time and event",
                "patients": patients + 4,
                "events": events + 3,
                "note": "8 without time",
            },
            {
                "step": "with at least one modality",
                "patients": patients,
                "events": events,
                "note": "",
            },
        ],
        "modalities": [
            {
                "name": "clinical",
                "kind": "clinical",
                "patients": patients,
                "features": 9,
                "missing_share": 0.034,
            }
            | {"note": ""},
            {
                "name": "slides",
                "kind": "bag",
                "patients": slides,
                "features": 1024,
                "missing_share": 0.0,
            }
            | {"note": "171 slides, UNI, 0.5 µm/px"},
            {
                "name": "rna",
                "kind": "expression",
                "patients": rna,
                "features": 19359,
                "missing_share": 0.0,
            }
            | {"note": "log2 TPM"},
        ],
        "patterns": [
            {
                "modalities": ["clinical", "slides", "rna"],
                "patients": both,
                "events": events * both // patients,
            },
            {
                "modalities": ["clinical", "slides"],
                "patients": slides - both,
                "events": 9,
            },
            {"modalities": ["clinical", "rna"], "patients": rna - both, "events": 6},
        ],
        "follow_up_median": 49.0,
        "horizons": list(horizons),
        "tau": horizons[-1] if horizons else None,
        "problems": [
            {
                "severity": "warning",
                "where": "clinical",
                "patient": "PAT-0101",
                "file": "patients.csv",
            }
            | {
                "column": "age",
                "message": "age 107 is outside 18 to 100",
                "hint": "check the birth date",
            },
        ],
    }


CHECKS = [
    {"id": "SRV001", "name": "Every patient is tested once per repeat.", "status": "ok"}
    | {
        "evidence": "150 patients, each tested once per repeat, by folds of patients",
        "advice": "",
    },
    {
        "id": "SRV002",
        "name": "The model is better than the clinical-only ridge Cox on the same folds.",
    }
    | {
        "status": "warning",
        "evidence": "Uno C minus clinical-only: +0.040 [-0.019, +0.099]",
    }
    | {
        "advice": "Not shown to be better than clinical variables alone; say so beside the score.",
    },
    {
        "id": "SRV004",
        "name": "There are enough events for the parameters.",
        "status": "warning",
    }
    | {
        "evidence": "4.5 training events per effective parameter",
        "advice": "Trust out-of-fold numbers alone.",
    }
    | {"severity": "warning", "page": "docs/checks/SRV004.md"},
    {
        "id": "SRV006",
        "name": "Sites are balanced over folds.",
        "status": "not applicable",
    }
    | {"evidence": "the cohort names no site", "advice": ""},
]


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    _write(path, value)


@pytest.fixture
def make_run(tmp_path: Path) -> Builder:
    """Build a run folder; keyword arguments as `build_run`."""

    def make(name: str = "out", **options: Any) -> Path:
        return build_run(tmp_path / name, **options)

    return make


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out of the page, for tests of its words alone."""
    monkeypatch.setattr(
        "survfuse.report.page.draw_figures",
        lambda tables: dict.fromkeys(UNDRAWN, ""),
    )


@pytest.fixture(scope="session")
def full_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that recorded everything a report can show, shared by tests that only read it."""
    return add_performance(build_run(tmp_path_factory.mktemp("report") / "full"))


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One ordinary run, shared by tests that only read it."""
    return build_run(tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="session")
def plain(run_folder: Path) -> Page:
    """The page of an ordinary run, without performance.json."""
    return read(run_folder)


@pytest.fixture(scope="session")
def full(full_folder: Path) -> Page:
    """The page of a run that recorded everything."""
    return read(full_folder)
