"""Whether the agreement of half models foretells that of two disjoint cohorts, and rises with patients.

A cohort is split into two disjoint cohorts of n patients and others who are held out (two fifths,
two fifths, one fifth). `actual` is the agreement of the models of the two cohorts on those held
out. `expected` is what each cohort alone says beforehand: the agreement of its own halves
(.4 n patients each), carried to n by Spearman and Brown. Both are averaged over replicates:
other divisions of the same real cohort, other simulated cohorts.

    python studies/agreement.py --out agreement --sizes 100 300 1000 3000
    python studies/agreement.py --out agreement --cohort luad=a/cohort.yaml hancock-os=b/cohort.yaml

One core: about a minute a replicate of 100 patients, and ten of 1,000.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported

import numpy as np
import pandas as pd

from survfuse._storage import write_text
from survfuse.cohort import Cohort, load_cohort
from survfuse.config import FitConfig
from survfuse.datasets import simulate
from survfuse.explanations.agreement import compare, measure_agreement
from survfuse.explanations.half_models import Pair, draw_halves, fitted_pairs
from survfuse.explanations.tile_comparisons import common_clusters

CONFIG = FitConfig.of(anchor_bags="mean")
POPULATION = {"tiles": 12, "tile_dim": 16, "genes": 300, "signal": "additive"}


def cohorts(
    sizes: list[int], real: dict[str, Path], replicates: int
) -> Iterator[tuple[str, int, Cohort]]:
    """Name, replicate and cohort; of a real cohort the replicate is another division."""
    for number in range(replicates):
        for name, path in real.items():
            yield name, number, load_cohort(path)
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                patients = round(2.5 * size)
                file = simulate(
                    Path(folder) / "cohort",
                    patients=patients,
                    seed=number,
                    **POPULATION,
                )
                yield f"simulated {size}", number, load_cohort(file)


def study(
    name: str, number: int, cohort: Cohort, halves: int
) -> list[dict[str, object]]:
    """Rows of one replicate: actual and expected agreement of everything that is compared."""
    both = draw_halves(cohort, None, number + 1)[number]
    ((_, pair),) = fitted_pairs(cohort, CONFIG, [both])
    assert isinstance(pair, Pair), pair
    actual = dict(compare(pair, defaultdict(dict), common_clusters(cohort, CONFIG)))
    foretold: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for own in (both.first, both.second):
        measured = measure_agreement(cohort, CONFIG, own, halves=halves, seed=number)
        for row in measured.rows:
            expected = measured.expected(row)
            if expected is not None:
                foretold[row.level, row.modality, row.name].append(expected)
    rows = []
    for key, value in actual.items():
        expected = np.mean(foretold[key]) if foretold[key] else np.nan
        place = dict(zip(("level", "modality", "name"), key, strict=True))
        place |= {"cohort": name, "replicate": number, "patients": round(both.size)}
        rows.append(
            {
                **place,
                "actual": np.nan if value is None else value,
                "expected": expected,
            }
        )
    return rows


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean actual and expected agreement over the replicates, and their difference."""
    keys = ["cohort", "patients", "level", "modality", "name"]
    table = rows.groupby(keys, sort=False)[["actual", "expected"]].mean().reset_index()
    table["difference"] = table["expected"] - table["actual"]
    return table


def arguments(description: str) -> tuple[argparse.Namespace, dict[str, Path]]:
    """Arguments of the command, and the real cohorts by name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="*", default=[])
    parser.add_argument("--cohort", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--halves", type=int, default=4)
    given = parser.parse_args()
    real = {}
    for one in given.cohort:
        name, _, path = one.partition("=")
        real[name] = Path(path)
    return given, real


def main() -> None:
    given, real = arguments(__doc__.splitlines()[0])
    rows: list[dict[str, object]] = []
    for name, number, cohort in cohorts(given.sizes, real, given.replicates):
        rows += study(name, number, cohort, given.halves)
        table = summary(pd.DataFrame(rows))
        write_text(given.out / "replicates.csv", pd.DataFrame(rows).to_csv(index=False))
        write_text(given.out / "agreement.csv", table.to_csv(index=False))
        print(f"{name}, replicate {number}: done", flush=True)
    print(summary(pd.DataFrame(rows)).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
