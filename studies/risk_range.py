"""Whether the range of risks that other cohorts would give holds the risks that another cohort gives.

A cohort is split into two disjoint cohorts and others who are held out, as `studies/agreement.py`
does. From the model of one cohort and its own halves comes the range of each held-out patient;
counted is how many risks of the other cohort's model lie inside, and of how many models a range is
given at all.

    python studies/risk_range.py --out ranges --sizes 100 300 1000
    python studies/risk_range.py --out ranges --cohort luad=a/cohort.yaml
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from agreement import CONFIG, arguments, cohorts

from survfuse._errors import NotComputableError
from survfuse._storage import write_text
from survfuse.cohort import Cohort
from survfuse.explanations.agreement import measure_agreement
from survfuse.explanations.half_models import Pair, draw_halves, fitted_pairs
from survfuse.explanations.risk_range import risk_range


def study(
    name: str, number: int, cohort: Cohort, halves: int
) -> list[dict[str, object]]:
    """Coverage of both directions of one replicate, at the median follow-up time."""
    both = draw_halves(cohort, None, number + 1)[number]
    ((_, pair),) = fitted_pairs(cohort, CONFIG, [both])
    assert isinstance(pair, Pair), pair
    horizon = float(np.median(cohort.outcome["time"]))
    rows = []
    for own, other, patients in (
        (pair.first, pair.second, both.first),
        (pair.second, pair.first, both.second),
    ):
        measured = measure_agreement(
            cohort, CONFIG, patients, halves=halves, seed=number
        )
        fitted = replace(own.fitted, agreement=measured)
        row: dict[str, object] = {
            "cohort": name,
            "replicate": number,
            "patients": len(patients),
            "held_out": len(both.held),
        }
        try:
            ranges = risk_range(replace(own, fitted=fitted), horizon)
        except (
            NotComputableError
        ) as error:  # other cohorts would order patients otherwise
            rows.append({**row, "given": 0, "why": str(error)})
            continue
        risks = 1 - other.prediction.survival([horizon])[:, 0]
        inside = (ranges["low"] <= risks) & (risks <= ranges["high"])
        row |= {"given": 1, "inside": float(inside.mean())}
        rows.append({**row, "width": float((ranges["high"] - ranges["low"]).mean())})
    return rows


def main() -> None:
    given, real = arguments(__doc__.splitlines()[0])
    rows: list[dict[str, object]] = []
    for name, number, cohort in cohorts(given.sizes, real, given.replicates):
        rows += study(name, number, cohort, given.halves)
        write_text(given.out / "ranges.csv", pd.DataFrame(rows).to_csv(index=False))
        print(f"{name}, replicate {number}: done", flush=True)
    means = pd.DataFrame(rows).groupby("cohort", sort=False)
    columns = ["patients", "given", "inside", "width"]
    print(means[columns].mean().round(3).to_string())
    print(means["inside"].agg(["min", "max"]).round(3).to_string())


if __name__ == "__main__":
    main()
