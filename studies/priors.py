"""What a prior that other cancers gave adds, by the number of training patients: nine TCGA cancers.

For each cancer a prior is fitted on the eight others (no patient and no outcome of the target), and the default
model is fitted with it and without it on 50, 100, 200 patients (stratified by event, ten times) and on all but a
fold (five folds). The target's tables are age and sex (of LUAD also stage) and expression. Scored by Harrell's C, and Uno's up to five years, on
all other patients. `--permute` gives the training patients each other's outcomes.

    python studies/priors.py -o runs/priors
    python studies/priors.py -o runs/priors --table
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student
from stacking import CANCERS, prepare

from survfuse.cohort import Cohort
from survfuse.cohort.splits import inner_folds
from survfuse.config import FitConfig
from survfuse.estimators import FoldContext, calibrated, make_estimator
from survfuse.metrics import calibration_slope, harrell_c, uno_c
from survfuse.priors import fit_prior

TARGETS = (*CANCERS, "luad")
SIZES, REPEATS = (50, 100, 200), 10
PENALTY = 4.455  # of the prior of all nine; the choice hardly moves without one of them
FIVE_YEARS = {"months": 60.0, "days": 1826.25, "years": 5.0}
OWN = ("clinical", "expression")
MODELS: dict[str, dict[str, Any]] = {
    "default": {"modalities": OWN},
    "default with prior": {"modalities": (*OWN, "others")},
    "late fusion": {"modalities": OWN, "fusion": "late_cox"},
    "late fusion with prior": {
        "modalities": (*OWN, "others"),
        "fusion": "late_cox",
    },
    "clinical": {"modalities": OWN[:1], "fusion": "ridge_cox"},
    "expression": {"modalities": OWN[1:], "fusion": "ridge_cox"},
    "prior": {"modalities": ("others",), "fusion": "ridge_cox"},
}


def divisions(cohort: Cohort) -> Iterator[tuple[int, int, list[str]]]:
    """Size (0: all but a fold), number and training patients of each division."""
    ids, event = (
        np.array(cohort.patients, object),
        cohort.outcome["event"].to_numpy(bool),
    )
    for size in SIZES:
        for repeat in range(REPEATS if size < 0.7 * len(ids) else 0):
            rng = np.random.default_rng(1000 * size + repeat)
            with_event = max(5, round(size * event.mean()))
            rows = rng.permutation(np.flatnonzero(event))[:with_event]
            others = rng.permutation(np.flatnonzero(~event))[: size - with_event]
            yield size, repeat, sorted(ids[np.r_[rows, others]])
    for repeat in range(1):
        folds = inner_folds(event, 5, repeat)
        for fold in range(5):
            yield 0, 5 * repeat + fold, list(ids[folds != fold])


def run(target: str, out: Path, permute: bool) -> str:
    """Measure every model on every division of a cancer; what is there is not repeated."""
    file = out / f"{'permuted' if permute else 'given'}-{target}.csv"
    if file.exists():
        return target
    cohorts = {name: prepare(name, out) for name in TARGETS}
    own = cohorts.pop(target)
    prior = fit_prior(list(cohorts.values()), name="others", penalties=[PENALTY])
    cohort = own.with_prior(prior)
    rows = []
    for size, number, train in divisions(cohort):
        rows += measure(
            cohort, train, {"cohort": target, "size": size, "number": number}, permute
        )
    table = pd.DataFrame(rows)
    table["slope of prior"], table["spread"] = prior.slope, prior.slope_spread
    table.to_csv(file, index=False)
    return target


def measure(
    cohort: Cohort,
    train: list[str],
    about: dict[str, Any],
    permute: bool,
) -> list[dict[str, Any]]:
    """Uno's C and slope of every model, and the weight of the prior."""
    given = cohort
    if permute:
        outcome = cohort.outcome.copy()
        drawn = np.random.default_rng(about["number"]).permutation(train)
        outcome.loc[train] = cohort.outcome.loc[drawn].to_numpy()
        given = cohort.with_outcome(outcome.astype(cohort.outcome.dtypes))
    fold = FoldContext.of(given, train)
    test = [patient for patient in cohort.patients if patient not in set(train)]
    outcome = cohort.outcome.loc[test]
    time, event = outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)
    rows = []
    for name, fields in MODELS.items():
        config = FitConfig.of(**fields)
        fit = make_estimator(config).fit(fold)
        model = calibrated(fold, fit, config)
        prediction = model.prediction(
            test, model.model.log_risk(model.source(cohort, test))
        )
        risk = prediction.log_risk
        years = FIVE_YEARS[str(cohort.unit)]
        uno = uno_c(time, event, risk, tau=years, train=(fold.time, fold.event))
        hazard = -np.log(
            np.clip(prediction.survival([np.median(time)])[:, 0], 1e-12, 1 - 1e-12)
        )
        slope = calibration_slope(time, event, np.log(hazard))
        weights = fit.details.get("anchored", {}).get("weights", {})
        row = {"model": name, "c": harrell_c(time, event, risk).value, "uno": uno.value}
        row["slope"] = slope.value
        rows.append({**about, **row, "weight": weights.get("others", {}).get("value")})
    return rows


def report(table: pd.DataFrame, metric: str) -> None:
    """Print C by cancer and model, and what the prior adds, with its interval over cancers."""
    means = table.groupby(["size", "cohort", "model"])[metric].mean().unstack()
    means["added"] = means["default with prior"] - means["default"]
    means["added to late"] = means["late fusion with prior"] - means["late fusion"]
    print(metric)
    print(means.round(3).to_string())
    for size, part in means.groupby("size"):
        for name in ("added", "added to late"):
            mean, half = part[name].mean(), np.nan
            if len(part) > 1:
                half = student.ppf(0.975, len(part) - 1) * part[name].sem()
            print(
                f"{size or 'all'}: {name} {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}], "
                f"better in {(part[name] > 0).sum()} of {len(part)}, worst {part[name].min():+.3f}"
            )


def main() -> None:
    """Run, or print the tables of what is there."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--permute", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        work = partial(run, out=options.out, permute=options.permute)
        with ProcessPoolExecutor(options.workers) as pool:
            for name in pool.map(work, options.targets):
                print(name, flush=True)
    kind = "permuted" if options.permute else "given"
    table = pd.concat(map(pd.read_csv, sorted(options.out.glob(f"{kind}-*.csv"))))
    report(table, "c")
    report(table, "uno")
    grouped = table.groupby(["size", "model"])
    print(grouped[["slope", "weight"]].median().round(3).to_string())


if __name__ == "__main__":
    main()
