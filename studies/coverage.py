"""How often 95 % intervals hold the truth: fixed predictions, and repeated cross-validation.

Patients have ten covariates, two of which act; event times are exponential, and censoring
is independent. `fixed` judges predictions that no data of the cohort shaped: C, its
paired difference, AUC, Brier scores, O/E, slope. `crossval` fits a ridge Cox regression in
5 folds x 3 repeats and asks for the expected score of a model trained on as many patients
(`mean`) and for the score of the very models that were fitted (`these`).

    python studies/coverage.py fixed --cohorts 1000
    python studies/coverage.py crossval --cohorts 400 -o coverage.json
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse import metrics
from survfuse._storage import write_json
from survfuse.cohort.splits import inner_folds
from survfuse.evaluation.combine import Interval
from survfuse.evaluation.folds import folds_of
from survfuse.evaluation.ranking import concordance, concordance_difference
from survfuse.survival.cox import fit_cox

COVARIATES = 10
CENSORING = (
    2.0  # mean time to censoring, where a patient at average risk has mean time 1
)
TAU = 1.5
TIMES = np.linspace(0.05, TAU, 30)
PENALTY = 0.1
SIZES = (100, 200, 500)
SIGNALS = {"none": 0.0, "weak": 0.2, "middling": 0.5, "strong": 1.0}


def draw(
    generator: np.random.Generator,
    n: int,
    signal: float,
    censored: bool = True,
) -> tuple[Any, Any, Any]:
    """Covariates (patients, 10), times and events."""
    x = generator.standard_normal((n, COVARIATES))
    time = generator.exponential(np.exp(-signal * (x[:, 0] + x[:, 1])))
    end = generator.exponential(CENSORING, n) if censored else np.full(n, np.inf)
    return x, np.minimum(time, end) + 1e-9, time <= end


def fixed_estimates(
    x: Any,
    time: Any,
    event: Any,
    signal: float,
) -> dict[str, metrics.Estimate]:
    """Every metric of two predictions: the true risk, and one that knows half of it."""
    truth, half = signal * (x[:, 0] + x[:, 1]), signal * x[:, 0]
    hazard = np.exp(truth)
    survival = np.exp(-np.outer(hazard, TIMES))
    return {
        "harrell_c": metrics.harrell_c(time, event, truth),
        "uno_c": metrics.uno_c(time, event, truth, tau=TAU),
        "delta_uno_c": metrics.compare_c(time, event, truth, half, tau=TAU),
        "auc": metrics.auc(time, event, truth, [TAU])[0],
        "brier": metrics.brier(time, event, survival[:, -1:], [TAU])[0],
        "isbs": metrics.integrated_brier(time, event, survival, TIMES),
        "ipa": metrics.ipa(time, event, survival[:, -1:], [TAU])[0],
        "observed_expected": metrics.observed_expected(time, event, hazard * time),
        "observed_expected, a fifth too low": metrics.observed_expected(
            time,
            event,
            0.8 * hazard * time,
        ),
        "calibration_slope": metrics.calibration_slope(time, event, truth),
        "calibration_slope, overfitted": metrics.calibration_slope(
            time,
            event,
            2 * truth,
        ),
        "rmst": metrics.rmst(time, event, TAU),
    }


def fixed(cohorts: int) -> list[dict[str, Any]]:
    """Coverage for predictions that these data did not shape."""
    rows = []
    for name in ("weak", "strong"):
        signal = SIGNALS[name]
        truth = {key: e.value for key, e in _population(signal).items()}
        truth |= {"calibration_slope": 1.0, "calibration_slope, overfitted": 0.5}
        truth |= {"observed_expected": 1.0, "observed_expected, a fifth too low": 1.25}
        for n in SIZES:
            generator = np.random.default_rng([n, int(10 * signal)])
            seen: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
            for _ in range(cohorts):
                for key, e in fixed_estimates(
                    *draw(generator, n, signal),
                    signal,
                ).items():
                    seen[key].append((e.value, e.se, e.low <= truth[key] <= e.high))
            rows += [
                _row(key, name, n, truth[key], found) for key, found in seen.items()
            ]
    return rows


def _population(signal: float) -> dict[str, metrics.Estimate]:
    """What the metrics tend to; Harrell's C depends on the censoring, so it is left in."""
    x, time, event = draw(np.random.default_rng(0), 100_000, signal)
    return fixed_estimates(x, time, event, signal)


def _row(
    metric: str,
    signal: str,
    n: int,
    truth: float,
    found: list[tuple[float, float, bool]],
) -> dict[str, Any]:
    value, se, covered = (
        np.array(column, dtype=float) for column in zip(*found, strict=True)
    )
    return {
        "metric": metric,
        "signal": signal,
        "n": n,
        "truth": truth,
        "bias": float(value.mean() - truth),
        "sd": float(value.std()),
        "mean_se": float(np.nanmean(se)),
        "coverage": float(covered.mean()),
        "cohorts": len(covered),
    }


def crossval(
    cohorts: int,
    n: int = 200,
    repeats: int = 3,
    folds: int = 5,
) -> list[dict[str, Any]]:
    """Coverage for the mean over folds and repeats, by each way to make the interval."""
    rows = []
    for name, signal in SIGNALS.items():
        population = concordance_of_correlation(signal)
        generator = np.random.default_rng(int(10 * signal) + 1)
        found = [
            one_crossval(generator, n, signal, repeats, folds, population)
            for _ in range(cohorts)
        ]
        for metric in ("harrell_c", "delta_uno_c"):
            these = np.array([each[metric]["these"] for each in found])
            for way in found[0][metric]["ways"]:
                estimates = [each[metric]["ways"][way] for each in found]
                mean = these.mean()
                rows.append(
                    {
                        "metric": metric,
                        "signal": name,
                        "interval": way,
                        "truth": mean,
                        "sd": float(np.std([e.value for e in estimates])),
                        "mean_se": float(np.mean([e.se for e in estimates])),
                        "covers_mean": float(
                            np.mean([e.low <= mean <= e.high for e in estimates]),
                        ),
                        "covers_these": float(
                            np.mean(
                                [
                                    e.low <= t <= e.high
                                    for e, t in zip(estimates, these, strict=True)
                                ],
                            ),
                        ),
                        "cohorts": cohorts,
                    },
                )
        print(pd.DataFrame(rows[-8:]).round(4).to_string(index=False), flush=True)
    return rows


def concordance_of_correlation(signal: float) -> Callable[[float], float]:
    """Harrell's C, among endless patients, of a normal score by its correlation with the true risk."""
    x, time, event = draw(np.random.default_rng(0), 100_000, signal)
    truth = (x[:, 0] + x[:, 1]) / np.sqrt(2)
    places = np.linspace(-1, 1, 21)
    scores = [r * truth + np.sqrt(1 - r**2) * x[:, 2] for r in places]
    values = [metrics.harrell_c(time, event, score).value for score in scores]
    return lambda r: float(np.interp(r, places, values)) if signal else 0.5


def one_crossval(
    generator: np.random.Generator,
    n: int,
    signal: float,
    repeats: int,
    folds: int,
    population: Callable[[float], float],
) -> dict[str, Any]:
    """Cross-validate two ridge Cox regressions: on all covariates, and without the first."""
    x, time, event = draw(generator, n, signal)
    parts, other = [], []
    reached: list[tuple[float, float]] = []
    for repeat in range(repeats):
        fold = inner_folds(event, folds, int(generator.integers(2**31)))
        for number in range(folds):
            test = fold == number
            models = [
                fit_cox(
                    x[~test][:, first:],
                    time[~test],
                    event[~test],
                    penalty=PENALTY,
                ).coef
                for first in (0, 1)
            ]
            place = {
                "patient_id": np.flatnonzero(test).astype(str),
                "repeat": repeat,
                "fold": number,
            }
            outcome = {"time": time[test], "event": event[test]}
            for table, first in ((parts, 0), (other, 1)):
                table.append(
                    pd.DataFrame(
                        place
                        | outcome
                        | {"log_risk": x[test][:, first:] @ models[first]},
                    ),
                )
            if repeat == 0:
                both = [
                    population(_correlation(model, first))
                    for first, model in enumerate(models)
                ]
                reached.append((both[0], both[0] - both[1]))
    whole, less = (
        folds_of(pd.concat(tables, ignore_index=True)) for tables in (parts, other)
    )
    single = tuple(fold for fold in whole if fold.repeat == 0)
    c, delta = np.mean(reached, axis=0)
    ways: dict[str, Interval] = {
        way: Interval(way) for way in ("influence", "nadeau_bengio")
    }  # type: ignore[arg-type]
    return {
        "harrell_c": {
            "these": c,
            "ways": {
                "plain": concordance(whole, "harrell", None, chance=0.0),
                **{
                    way: concordance(whole, "harrell", None, interval=how)
                    for way, how in ways.items()
                },
                "influence, one repeat": concordance(single, "harrell", None),
            },
        },
        "delta_uno_c": {
            "these": delta,
            "ways": {
                "plain": concordance_difference(whole, less, None, chance=0.0),
                **{
                    way: concordance_difference(whole, less, None, interval=how)
                    for way, how in ways.items()
                },
            },
        },
    }


def _correlation(model: Any, first: int) -> float:
    """Of the score of covariates from `first` on with the true risk, which is that of the first two."""
    truth = np.zeros(COVARIATES)
    truth[:2] = np.sqrt(0.5)
    return float(model @ truth[first:] / np.linalg.norm(model))


def main() -> None:
    """Run a study and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=["fixed", "crossval"])
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    rows = (
        fixed(options.cohorts)
        if options.study == "fixed"
        else crossval(options.cohorts)
    )
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    if options.out is not None:
        write_json(options.out, rows)


if __name__ == "__main__":
    main()
