"""Which map from risk to curve is calibrated: on real cohorts, with an honest learner and an overfitted one.

Two repeats of five folds. `ridge` is a ridge Cox regression whose penalty inner folds chose;
`overfitted` one with almost none, on the same features and a noise column for every three
patients' events. Every calibrator sees the same risks: those of the final fit, and out-of-fold
risks of the training patients. `breslow_cal` fits on three quarters of the training patients
and calibrates on the rest. `km_rank` gives a time and no curve: its integrated Brier score is
that of the step S(t) = 1{t < time}, and nothing else is computable.

    python studies/calibration.py --hancock-os a/cohort.yaml --luad b/cohort.yaml -o calibration.json

GBSG2, WHAS500 and FLChain come with scikit-survival (test extra).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import survfuse as sf
from survfuse import metrics
from survfuse._errors import NotComputableError
from survfuse._storage import write_json
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.survival.calibration import KmRankCalibrator, fit_calibrator
from survfuse.survival.cox import fit_cox, ridge_cox_cv

KINDS = ("km", "km_rank", "breslow", "breslow_oof", "isotonic_oof", "breslow_cal")
FOLDS, REPEATS, INNER = 5, 2, 5
MOST_PATIENTS = 2000
LITTLE = 1e-3  # penalty of the overfitted learner, per event
Fit = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True)
class Data:
    """A data set: outcome, and the features of some patients when others are trained on."""

    name: str
    time: Any
    event: Any
    features: Callable[
        [Any],
        Any,
    ]  # training rows -> (patients, features), fitted on them


def table(name: str, frame: pd.DataFrame, time: Any, event: Any) -> Data:
    """A plain table: dummies, medians of the training patients, standardised by them."""
    x = pd.get_dummies(frame, drop_first=True).astype(float)

    def features(train: Any) -> Any:
        filled = x.fillna(x.iloc[train].median())
        spread = filled.iloc[train].std().replace(0, 1)
        return ((filled - filled.iloc[train].mean()) / spread).to_numpy()

    return Data(name, np.asarray(time, float), np.asarray(event, bool), features)


def bundled() -> Iterator[Data]:
    """GBSG2, WHAS500 and FLChain."""
    from sksurv import datasets

    loaders = {
        "GBSG2": datasets.load_gbsg2,
        "WHAS500": datasets.load_whas500,
        "FLChain": datasets.load_flchain,
    }
    for name, load in loaders.items():
        frame, outcome = load()
        event_name, time_name = outcome.dtype.names
        keep = np.flatnonzero(outcome[time_name] > 0)
        if len(keep) > MOST_PATIENTS:
            keep = np.sort(
                np.random.default_rng(0).choice(keep, MOST_PATIENTS, replace=False),
            )
        frame = (
            frame.iloc[keep]
            .reset_index(drop=True)
            .drop(columns=["chapter"], errors="ignore")
        )
        yield table(name, frame, outcome[time_name][keep], outcome[event_name][keep])


def from_cohort(name: str, path: Path) -> Data:
    """Clinical and molecular vectors of a cohort, transformed as the models read them."""
    cohort = sf.load_cohort(path)
    assert cohort.outcome is not None
    names = tuple(m for m, data in cohort.modalities.items() if data.kind != "bag")
    ids = np.array(cohort.patients, dtype=object)

    def features(train: Any) -> Any:
        transforms = Transforms.fit(
            cohort,
            sorted(ids[train]),
            FitConfig.of(modalities=names, device="cpu"),
        )
        vectors = BatchSource(cohort, transforms, ids).prepared.vectors
        return np.concatenate([vectors[m].astype(float) for m in names], axis=1)

    outcome = cohort.outcome
    return Data(
        name,
        outcome["time"].to_numpy(float),
        outcome["event"].to_numpy(bool),
        features,
    )


def ridge(x: Any, time: Any, event: Any) -> Any:
    """Coefficients with a penalty that inner folds chose."""
    return ridge_cox_cv(x, time, event, folds=INNER, seed=0).coef


def overfitted(x: Any, time: Any, event: Any) -> Any:
    """Coefficients with almost no penalty."""
    return fit_cox(x, time, event, penalty=LITTLE).coef


def risks(data: Data, train: Any, fit: Fit, noise: Any) -> tuple[Any, Any]:
    """Log-risk of everyone by a model of `train`, and its coefficients' features."""
    x = np.hstack([data.features(train), noise])
    coef = fit(x[train], data.time[train], data.event[train])
    return x @ coef, coef


def judge(
    data: Data,
    calibrator: Any,
    risk: Any,
    test: Any,
    train: Any,
    horizon: float,
    tau: float,
) -> dict[str, Any]:
    """IBS, ICI, slope and O/E on the test patients."""
    time, event = data.time[test], data.event[test]
    grid = np.linspace(0, tau, 51)[1:]
    others = (data.time[train], data.event[train])
    if isinstance(calibrator, KmRankCalibrator):
        told = calibrator.predicted_time(risk[test])
        survival = (grid[None, :] < told[:, None]).astype(float)
        return {
            "ibs": metrics.integrated_brier(
                time,
                event,
                survival,
                grid,
                train=others,
            ).value,
        }
    curves = calibrator.curves(risk[test])
    row = np.arange(len(test))
    followed = np.minimum(time, curves.last)
    padded = np.hstack([np.ones((len(test), 1)), curves.survival])
    own = padded[row, np.searchsorted(curves.times, followed, side="right")]
    at = np.clip(curves.at([horizon])[:, 0], 1e-12, 1 - 1e-12)
    found = {
        "ibs": metrics.integrated_brier(
            time,
            event,
            curves.at(grid),
            grid,
            train=others,
        ).value,
        "ici": metrics.ici(time, event, at[:, None], [horizon])[0].value,
        "slope": metrics.calibration_slope(time, event, np.log(-np.log(at))).value,
    }
    if (own > 0).all():
        found["oe"] = metrics.observed_expected(
            followed,
            event & (time <= curves.last),
            -np.log(own),
        ).value
    return found


def study(data: Data, learner: str) -> list[dict[str, Any]]:
    """Every calibrator on every fold."""
    generator = np.random.default_rng(1)
    fit = {"ridge": ridge, "overfitted": overfitted}[learner]
    width = int(data.event.sum()) // 3 if learner == "overfitted" else 0
    noise = generator.standard_normal((len(data.time), width))
    tau = float(np.quantile(data.time, 0.8))
    horizon = float(np.median(data.time))
    rows = []
    for repeat in range(REPEATS):
        outer = inner_folds(data.event, FOLDS, repeat)
        for fold in range(FOLDS):
            test, train = np.flatnonzero(outer == fold), np.flatnonzero(outer != fold)
            inner = inner_folds(data.event[train], INNER, repeat)
            out_of_fold = np.empty(len(train))
            for held in range(INNER):
                part = risks(data, train[inner != held], fit, noise)[0]
                out_of_fold[inner == held] = part[train[inner == held]]
            risk, _ = risks(data, train, fit, noise)
            kept = inner_folds(data.event[train], 4, repeat) != 0
            less, _ = risks(data, train[kept], fit, noise)
            for kind in KINDS:
                some = train[~kept] if kind == "breslow_cal" else train
                own = less if kind == "breslow_cal" else risk
                extra = (
                    {"out_of_fold": out_of_fold, "fold": inner}
                    if kind.endswith("_oof")
                    else {}
                )
                calibrator = fit_calibrator(
                    kind,
                    data.time[some],
                    data.event[some],
                    own[some],
                    **extra,
                )
                try:
                    found = judge(data, calibrator, own, test, train, horizon, tau)
                except NotComputableError as why:
                    found = {"note": str(why)}
                rows.append(
                    {
                        "data": data.name,
                        "learner": learner,
                        "calibrator": kind,
                        "fold": fold,
                        **found,
                    },
                )
    return rows


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("hancock-os", "hancock-rfs", "luad"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    given = {
        "HANCOCK OS": options.hancock_os,
        "HANCOCK RFS": options.hancock_rfs,
        "LUAD OS": options.luad,
    }
    sets: Sequence[Data] = [
        from_cohort(name, path) for name, path in given.items() if path is not None
    ]
    rows = []
    for data in [*sets, *bundled()]:
        for learner in ("ridge", "overfitted"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                part = study(data, learner)
            rows += part
            means = (
                pd.DataFrame(part)
                .groupby("calibrator", sort=False)[["ibs", "ici", "slope", "oe"]]
                .mean()
            )
            print(f"{data.name}, {learner}\n{means.round(3).to_string()}", flush=True)
    if options.out is not None:
        write_json(options.out, rows)


if __name__ == "__main__":
    main()
