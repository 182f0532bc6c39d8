"""Where the models stand on real cohorts: HANCOCK, TCGA-LUAD and eight cancers without slides, given folds.

Needs the cohorts (`SURVFUSE_DATA`, or the network for HANCOCK). Runs are kept in the
output folder and resumed; `--table` only prints the table of what is there. `--simple` leaves out networks and
controls, and `--table` then compares the default with the best simple model of each cohort.

    python studies/real.py -o runs --models default pairwise pairwise_residual --repeats 3
    python studies/real.py -o runs --models paper --repeats 1
    python studies/real.py -o runs --models default --simple --repeats 1
    python studies/real.py -o runs --seeds 5 --cohorts kirp paad skcm coadread
    python studies/real.py -o runs --table
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from stacking import CANCERS, OTHERS, prepare

import survfuse as sf
from survfuse.cohort.batch_source import BatchSource
from survfuse.config import FitConfig
from survfuse.estimators import FoldContext, make_estimator
from survfuse.estimators.stacked_cox import MOST_DIVISIONS
from survfuse.metrics import harrell_c

COHORTS = (*OTHERS, *CANCERS)
METRICS = (
    "harrell_c",
    "uno_c",
    "delta_uno_c_vs_clinical",
    "isbs",
    "calibration_slope",
    "observed_expected",
)
MODELS: dict[str, dict[str, Any]] = {
    "default": {},  # fusion: anchored
    "pairwise": {"fusion": "pairwise"},
    "pairwise_residual": {"fusion": "pairwise_residual"},
    "paper": {"preset": "paper"},
}
# Interpretable slide features span areas, counts and ratios: the paper's raw tiles would be areas alone.
PAPER_ON_LUAD = {"bag_scaling": "standard"}


def run_all(
    out: Path,
    models: list[str],
    cohorts: list[str],
    repeats: int,
    simple: bool,
) -> None:
    """Cross-validate every model on every cohort; what is finished is not repeated."""
    for cohort_name in cohorts:
        cohort = prepare(cohort_name, out)
        for name in models:
            extra = PAPER_ON_LUAD if (name, cohort_name) == ("paper", "luad-os") else {}
            model = sf.SurvivalFusion(**MODELS[name], **extra)
            place = out / f"{cohort_name}-{name}-{repeats}"
            alone = (
                name == "default"
            )  # each modality alone is the same network whatever the fusion
            result = sf.cross_validate(
                model,
                cohort,
                repeats=repeats,
                networks=alone and not simple,
                controls=not simple,
                out=place,
                name=name,
            )
            result.report()
            print(f"{cohort_name} {name}: {result.record['seconds']} s", flush=True)


def table(out: Path) -> pd.DataFrame:
    """Every model's numbers on every cohort, from the runs' files."""
    rows = []
    for file in sorted(out.glob("*/metrics.json")):
        cohort_name = next(
            (name for name in COHORTS if file.parent.name.startswith(name)),
            file.parent.name,
        )
        repeats = file.parent.name.rpartition("-")[2]
        for model, metrics in json.loads(file.read_text()).items():
            row = {"cohort": cohort_name, "repeats": repeats, "model": model}
            for metric in METRICS:
                row[metric] = interval_text(metrics.get(metric))
            rows.append(row)
    return pd.DataFrame(rows).drop_duplicates(["cohort", "repeats", "model"])


def seed_spread(out: Path, cohorts: list[str], seeds: int) -> pd.DataFrame:
    """Harrell's C of the default over the given folds, for several seeds: mean, deviation, range."""
    rows = []
    for name in cohorts:
        cohort = prepare(name, out)
        values = []
        for seed in range(seeds):
            # divisions into inner folds take the seeds that follow
            config = FitConfig.of(seed=seed * MOST_DIVISIONS)
            estimator, folds = make_estimator(config), []
            for fold in sorted(cohort.folds.unique()):
                held = cohort.folds == fold
                test = list(cohort.folds.index[held])
                train = FoldContext.of(cohort, list(cohort.folds.index[~held]))
                fit = estimator.fit(train)
                outcome = cohort.outcome.loc[test]
                risk = fit.model.log_risk(BatchSource(cohort, fit.transforms, test))
                folds.append(harrell_c(outcome["time"], outcome["event"], risk).value)
            values.append(np.mean(folds))
        spread = {
            "mean": np.mean(values),
            "sd": np.std(values, ddof=1),
            "range": np.ptp(values),
        }
        rows.append({"cohort": name, "events": cohort.events, **spread})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def beside_simple(out: Path) -> pd.DataFrame:
    """Uno's C and ISBS of the default beside the best simple model, clinical variables and late fusion."""
    rows = []
    for file in sorted(out.glob("*-default-*/metrics.json")):
        metrics = json.loads(file.read_text())
        names = [name for name in metrics if name.startswith(("ridge:", "late:"))]
        simple = {name: metrics[name] for name in names}
        best = max(simple, key=lambda name: simple[name]["uno_c"]["value"])
        clinical = next(name for name in simple if name.startswith("ridge:clinical"))
        late = next(name for name in names if name.startswith("late:"))
        own = metrics["default"]
        row = {"cohort": file.parent.name, "best": best}
        for name in (best, clinical, late):
            difference = own["uno_c"]["value"] - simple[name]["uno_c"]["value"]
            row[f"C less {'best' if name == best else name}"] = round(difference, 4)
        row["ISBS less late"] = round(
            own["isbs"]["value"] - simple[late]["isbs"]["value"], 4
        )
        rows.append(row)
    return pd.DataFrame(rows)


def interval_text(estimate: dict[str, Any] | None) -> str:
    """Show a value with its interval; empty without a value, and without limits where it has none."""
    if estimate is None or estimate["value"] is None:
        return ""
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def main() -> None:
    """Run, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=list(MODELS),
        default=list(MODELS),
    )
    parser.add_argument(
        "--cohorts",
        nargs="+",
        choices=list(COHORTS),
        default=list(COHORTS),
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--simple", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.seeds:
        print(
            seed_spread(options.out, options.cohorts, options.seeds)
            .round(4)
            .to_string()
        )
        return
    if not options.table:
        run_all(
            options.out,
            options.models,
            options.cohorts,
            options.repeats,
            options.simple,
        )
    print(table(options.out).to_string(index=False))
    print(beside_simple(options.out).to_string(index=False))


if __name__ == "__main__":
    main()
