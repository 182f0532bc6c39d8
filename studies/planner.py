"""Does the planner predict what larger studies find? Interval widths of HANCOCK, and power.

`widths` cross-validates HANCOCK, and random quarters of it, with the same model, folds and τ; the
plan of each quarter predicts the standard errors of the whole. `power` simulates pilots and
larger studies: clinical variables alone against their late fusion with molecular ones (z-scores
of two ridge Cox regressions, added), and against one ridge Cox of both. Each pilot predicts the
power of studies four times its size, and how many patients show the increment with a power of
80 %; a new study of that size is then made. What is found is written as it comes.

    python studies/planner.py widths --cohort hancock/cohort.yaml --quarters 6 -o runs/planner
    python studies/planner.py power --design ridge --studies 200 -o runs/planner
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import survfuse as sf
from survfuse._errors import NotComputableError
from survfuse._storage import write_json
from survfuse.cohort import Cohort
from survfuse.cohort.splits import inner_folds
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import difference
from survfuse.evaluation.folds import Folds, folds_of
from survfuse.evaluation.precision import of_difference
from survfuse.evaluation.ranking import UNO_C
from survfuse.survival.cox import fit_cox

HORIZONS = (365.25, 1095.75, 1826.25)
CLINICAL = np.array([0.5, 0.3, 0.0, 0.0])
GENES = 8  # molecular variables; the first two act
CENSORING = 2.0  # mean time, where a patient at average risk has mean time 1
TAU = 1.5
SCALE = Scale((TAU,), TAU, times=())
PENALTY = 0.1
FOLDS, REPEATS = 5, 3
PILOT, TIMES = 150, 4
POWER = 0.8
SIGNALS = {"late fusion": (0.3, 0.4), "ridge": (0.25, 0.35)}


def widths(cohort_file: Path, quarters: int, out: Path) -> pd.DataFrame:
    """Predicted over actual standard errors of the whole cohort, by quarter and metric."""
    cohort = sf.load_cohort(cohort_file)
    whole = cross_validated(cohort, out / "full")
    actual = {**_single(sf.plan(whole)), **_differences(whole)}
    rows = []
    for number in range(quarters):
        generator = np.random.default_rng(number)
        size = round(len(cohort) / 4)
        drawn = generator.choice(np.array(cohort.patients), size, replace=False)
        pilot = cross_validated(cohort.subset(sorted(drawn)), out / f"quarter{number}")
        predicted = {
            **_single(sf.plan(pilot), len(cohort)),
            **_differences(pilot, len(cohort)),
        }
        events = pilot.cohort["events"]
        for metric, (se, uncertainty) in predicted.items():
            ratio = se / actual[metric][0]
            row = {"quarter": number, "events": events, "metric": metric}
            rows.append({**row, "ratio": ratio, "uncertainty": uncertainty})
        write_json(out / "widths.json", rows)
        print(pd.DataFrame(rows[-len(predicted) :]).round(3).to_string(), flush=True)
    return pd.DataFrame(rows)


def cross_validated(cohort: Cohort, place: Path) -> sf.Result:
    """The default model and its simple baselines; read where they were computed before."""
    if (place / "metrics.json").exists():
        return sf.Result.read(place)
    return sf.cross_validate(
        sf.SurvivalFusion(),
        cohort,
        repeats=REPEATS,
        given_folds=False,
        networks=False,
        controls=False,
        bootstrap=0,
        robustness=False,
        halves=0,
        horizons=HORIZONS,
        tau=HORIZONS[-1],
        out=place,
        name="model",
    )


def _single(
    plan: sf.Plan,
    patients: int | None = None,
) -> dict[str, tuple[float, float | None]]:
    """Standard errors of the model's metrics, of the run or at another size."""
    found = {}
    for width in plan.widths:
        n = patients or plan.patients
        found[width.metric] = width.precision.se(n), width.precision.uncertainty(n)
    return found


def _differences(
    run: sf.Result,
    patients: int | None = None,
) -> dict[str, tuple[float, float | None]]:
    """Standard errors of the increments, of the run or at another size."""
    found = {}
    for metric in ("uno_c", "isbs"):
        plan = sf.plan(run, metric=metric)
        for one in plan.increments:
            if one.precision is not None:
                n = patients or plan.patients
                values = one.precision.se(n), one.precision.uncertainty(n)
                found[f"{metric} of {one.what}, {one.kind}"] = values
    return found


def simulated(
    generator: np.random.Generator,
    n: int,
    signal: float,
    design: str,
) -> tuple[Folds, Folds]:
    """Cross-validated risks of the models with and without molecular variables."""
    x = generator.standard_normal((n, len(CLINICAL) + GENES))
    coef = np.zeros(x.shape[1])
    coef[: len(CLINICAL)] = CLINICAL
    coef[len(CLINICAL) : len(CLINICAL) + 2] = signal
    time = generator.exponential(np.exp(-x @ coef))
    end = generator.exponential(CENSORING, n)
    event, time = time <= end, np.minimum(time, end) + 1e-9
    clinical, molecular = slice(0, len(CLINICAL)), slice(len(CLINICAL), None)
    parts: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    for repeat in range(REPEATS):
        fold = inner_folds(event, FOLDS, int(generator.integers(2**31)))
        for number in range(FOLDS):
            test = fold == number

            def risk(columns: slice, test: Any = test) -> Any:
                fit = fit_cox(
                    x[~test][:, columns], time[~test], event[~test], penalty=PENALTY
                )
                line = x[:, columns] @ fit.coef
                return (line[test] - line[~test].mean()) / line[~test].std()

            without = risk(clinical)
            late = design == "late fusion"
            with_it = without + risk(molecular) if late else risk(slice(None))
            place = {
                "patient_id": np.flatnonzero(test).astype(str),
                "repeat": repeat,
                "fold": number,
                "time": time[test],
                "event": event[test],
            }
            for table, column in zip(parts, (with_it, without), strict=True):
                table.append(pd.DataFrame({**place, "log_risk": column}))
    with_folds, without_folds = (
        folds_of(pd.concat(part, ignore_index=True)) for part in parts
    )
    return with_folds, without_folds


def power(design: str, studies: int, out: Path) -> pd.DataFrame:
    """Predicted against observed power, by signal."""
    summary = []
    for signal in SIGNALS[design]:
        table = pd.DataFrame(_one_power(design, signal, studies))
        name = f"power-{design.replace(' ', '-')}-{signal}"
        write_json(out / f"{name}.json", table.to_dict("records"))
        summary.append(_power_row(table, design, signal))
        print(pd.DataFrame(summary[-1:]).round(4).to_string(), flush=True)
    return pd.DataFrame(summary)


def _one_power(design: str, signal: float, studies: int) -> list[dict[str, Any]]:
    """Larger studies first, whose mean increment is the one that pilots plan for."""
    stream = [round(100 * signal), len(design)]
    rows = []
    for number in range(studies):
        generator = np.random.default_rng([*stream, number, 1])
        large = difference(
            UNO_C, *simulated(generator, TIMES * PILOT, signal, design), SCALE
        )
        rows.append({"design": design, "signal": signal, "study": number})
        rows[-1] |= {"value": large.value, "se": large.se, "shown": _shown(large)}
    delta = float(np.mean([row["value"] for row in rows]))
    for row in rows:
        generator = np.random.default_rng([*stream, row["study"], 2])
        pilot = simulated(generator, PILOT, signal, design)
        precision = of_difference(UNO_C, *pilot, SCALE, known_share=True)
        row["predicted"] = precision.power(delta, TIMES * PILOT)
        row["predicted_se"] = precision.se(TIMES * PILOT)
        row["pilot_se"] = precision.se(PILOT)
        row["uncertainty"] = precision.uncertainty(TIMES * PILOT)
        row["needed"] = needed = round(precision.patients_for(delta, POWER))
        planned = difference(
            UNO_C, *simulated(generator, needed, signal, design), SCALE
        )
        row["planned_value"], row["planned_shown"] = planned.value, _shown(planned)
    return rows


def _shown(found: sf.metrics.Estimate) -> bool:
    if found.low is None:
        raise NotComputableError(found.note)
    return found.low > 0


def _power_row(
    table: pd.DataFrame,
    design: str,
    signal: float,
) -> dict[str, Any]:
    return {
        "design": design,
        "signal": signal,
        "studies": len(table),
        "increment": table["value"].mean(),
        "sd": table["value"].std(),
        "se": table["se"].mean(),
        "se predicted": table["predicted_se"].mean(),
        "its sd": np.log(table["predicted_se"]).std(),
        "stated": table["uncertainty"].mean(),
        "power": table["shown"].mean(),
        "power predicted": table["predicted"].mean(),
        "needed, median": table["needed"].median(),
        "increment there": table["planned_value"].mean(),
        "power there (0.8 planned)": table["planned_shown"].mean(),
    }


def main() -> None:
    """Run a study and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=["widths", "power"])
    parser.add_argument("--cohort", type=Path)
    parser.add_argument("--quarters", type=int, default=6)
    parser.add_argument("--design", choices=[*SIGNALS], default="late fusion")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.study == "power":
        table = power(options.design, options.studies, options.out)
        print(table.round(4).T.to_string())
        return
    table = widths(options.cohort, options.quarters, options.out)
    ratios = table.pivot(index="metric", columns="quarter", values="ratio")
    ratios["mean"] = ratios.mean(axis=1)
    print(ratios.round(2).to_string())


if __name__ == "__main__":
    main()
