"""Frozen cross-validations: the numbers that a change of the code must not move.

    python tests/golden.py run OUT [--luad]      run every recipe; one folder of run files each
    python tests/golden.py compare A B           print every file and number that differs
    python tests/golden.py freeze OUT            keep the simulated runs as the test's frozen numbers

The small simulated cohort's metrics lie in tests/archives/golden and are a test; LUAD needs `SURVFUSE_DATA`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

import survfuse as sf
from survfuse.datasets import simulate, tcga_luad

SHORT = {"epochs": 6, "min_epochs": 1, "patience": 3, "selection_folds": 3}
RECIPES: dict[str, dict[str, Any]] = {
    "concat": {"fusion": "concat", **SHORT},
    "pairwise": {"fusion": "pairwise", **SHORT},
    "anchored": {"fusion": "anchored", **SHORT},
    "paper": {
        "preset": "paper",
        **SHORT,
        "vector_hidden": (32, 8),
        "bag_width": 16,
        "attention_width": 8,
    },
}
FILES = ("predictions.csv", "metrics.json", "checks.json")


def small_cohort(folder: Path) -> sf.Cohort:
    """Write and read the simulated cohort of 60 patients with bags, expression and clinical variables."""
    if not (folder / "cohort.yaml").is_file():
        simulate(
            folder,
            patients=60,
            tiles=12,
            tile_dim=16,
            genes=60,
            event_rate=0.5,
            missing={"expression": 0.1},
            seed=3,
        )
    return sf.load_cohort(folder / "cohort.yaml")


def run(cohort: sf.Cohort, recipe: str, out: Path) -> sf.Result:
    """Cross-validate one recipe on two folds, with every comparator."""
    return sf.cross_validate(
        sf.SurvivalFusion(**RECIPES[recipe]),
        cohort,
        folds=2,
        repeats=1,
        given_folds=False,
        networks=False,
        controls=False,
        bootstrap=20,
        out=out,
        name=recipe,
    )


def verdicts(checks: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Status and severity of every check, by number."""
    return {check["id"]: (check["status"], check["severity"]) for check in checks}


def freeze(runs: Path, archive: Path) -> None:
    """Keep what the test compares: predictions, checks, and the model's own metrics."""
    for recipe in RECIPES:
        folder = archive / recipe
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("predictions.csv", "checks.json"):
            (folder / name).write_bytes((runs / recipe / name).read_bytes())
        metrics = json.loads((runs / recipe / "metrics.json").read_text())[recipe]
        (folder / "metrics.json").write_text(
            json.dumps(metrics, indent=1, sort_keys=True) + "\n",
        )


def compare(one: Path, other: Path) -> list[str]:
    """Say in which files and by how much two folders of runs differ; empty where they are equal."""
    differences = []
    for path in sorted(one.rglob("*")):
        if path.name not in FILES:
            continue
        name, twin = path.relative_to(one), other / path.relative_to(one)
        if not twin.is_file():
            differences.append(f"{name}: absent from {other}")
        elif path.read_bytes() != twin.read_bytes():
            differences.append(f"{name}: {_how_far(path, twin)}")
    return differences


def _how_far(path: Path, twin: Path) -> str:
    """Largest difference of two files, as a text."""
    one, other = _values(path), _values(twin)
    return f"largest difference {largest_difference(one, other):.3g}"


def _values(path: Path) -> Any:
    if path.suffix == ".csv":
        return pd.read_csv(path).to_dict("list")
    return json.loads(path.read_text())


def largest_difference(a: Any, b: Any) -> float:
    """Largest absolute difference of numbers at the same place; infinite where anything else differs."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return max((largest_difference(a[key], b[key]) for key in a), default=0.0)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(
            (largest_difference(x, y) for x, y in zip(a, b, strict=True)),
            default=0.0,
        )
    if isinstance(a, int | float) and isinstance(b, int | float):
        return 0.0 if a == b or (np.isnan(a) and np.isnan(b)) else float(abs(a - b))
    return 0.0 if a == b else float("inf")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("out", type=Path)
    runs.add_argument("--luad", action="store_true")
    runs.add_argument("--recipes", nargs="*", default=list(RECIPES))
    pair = verbs.add_parser("compare")
    pair.add_argument("one", type=Path)
    pair.add_argument("other", type=Path)
    frozen = verbs.add_parser("freeze")
    frozen.add_argument("out", type=Path)
    given = parser.parse_args()
    if given.verb == "freeze":
        freeze(given.out / "simulated", Path(__file__).parent / "archives" / "golden")
        return
    if given.verb == "compare":
        differences = compare(given.one, given.other)
        print("\n".join(differences) or "equal")
        sys.exit(bool(differences))
    cohorts = {"simulated": small_cohort(given.out / "cohort")}
    if given.luad:
        data = Path(os.environ.get("SURVFUSE_DATA", "../shared/data"))
        folder = given.out / "luad_cohort"
        if not folder.is_dir():
            tcga_luad(folder, source=data / "tcga_luad")
        cohorts["luad"] = sf.load_cohort(folder / "cohort.yaml")
    for name, cohort in cohorts.items():
        for recipe in given.recipes:
            started = perf_counter()
            run(cohort, recipe, given.out / name / recipe)
            print(name, recipe, f"{perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
