"""Every fusion, every set of modalities, on the same folds of real cohorts, and against planted truths.

`real`: HANCOCK (OS, RFS) and TCGA-LUAD (OS). `anchored` and the ridge baselines of every set of
modalities on the given folds and four drawn repeats; other fusions of all modalities on
`--network-repeats` of them, of fewer modalities and the preset `paper` on the given folds. `simulated`:
additive, interaction and none, with and without 30 % of each modality missing. Finished cells are kept in
the output folder, so a study that was stopped goes on.

    python studies/fusions.py real -o runs/fusions --workers 2
    python studies/fusions.py simulated -o runs/planted --workers 2
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import survfuse as sf
from survfuse._types import FloatArray
from survfuse.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.config import CrossvalConfig, FitConfig
from survfuse.datasets import card
from survfuse.datasets.simulate import simulate
from survfuse.evaluation.assessment import assess
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.candidates import Candidate, baseline
from survfuse.evaluation.cells import Cells, Grid, Watcher
from survfuse.evaluation.crossval_splits import splits_of
from survfuse.evaluation.default_horizons import resolve_horizons
from survfuse.evaluation.ranking import concordance_difference
from survfuse.executors import make_executor
from survfuse.models.fusion import FUSIONS
from survfuse.survival.estimate import Estimate

COHORTS: dict[str, tuple[str, dict[str, str]]] = {
    "hancock-os": ("hancock", {"endpoint": "os"}),
    "hancock-rfs": ("hancock", {"endpoint": "rfs"}),
    "luad-os": ("tcga_luad", {}),
}
# Interpretable slide features span areas, counts and ratios: the paper's raw tiles would be areas alone.
PAPER = {"luad-os": {"bag_scaling": "standard"}}
NETWORKS = tuple(FUSIONS)
SIMULATED = {
    "patients": 500,
    "tiles": 50,
    "tile_dim": 64,
    "genes": 1000,
    "event_rate": 0.5,
}
MISSING = {"clinical": 0.3, "expression": 0.3, "slides": 0.3}
METRICS = ("uno_c", "harrell_c", "isbs", "calibration_slope")


class Told(Watcher):
    """One line per fifty cells."""

    def on_cell(self, name: str, done: int, resumed: bool) -> None:
        """Tell now and then."""
        if done % 50 == 0:
            print(f"  {done} cells, {name}", flush=True)


def sets_of(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every set of modalities, the largest first."""
    return [
        s
        for size in range(len(names), 0, -1)
        for s in itertools.combinations(names, size)
    ]


def plan(
    cohort: Cohort,
    label: str,
    splits: Sequence[Split],
    network_repeats: int,
    paper: bool,
) -> Iterator[tuple[Candidate, list[Split]]]:
    """Candidates, and the splits that each runs on."""
    every = list(splits)
    repeats = sorted({split.repeat for split in every})
    first = [split for split in every if split.repeat == repeats[0]]
    some = [split for split in every if split.repeat in repeats[:network_repeats]]
    names, plain = tuple(cohort.modalities), FitConfig.of(seed=0)
    for kept in sets_of(names):
        word = "+".join(kept)
        yield (
            Candidate(
                f"anchored:{word}",
                FitConfig.of(modalities=kept, device="cpu"),
            ),
            every,
        )
        # Of one modality every fusion is the same network.
        for fusion in NETWORKS if len(kept) > 1 else ("concat",):
            config = FitConfig.of(fusion=fusion, modalities=kept, device="cpu")
            yield (
                Candidate(f"{fusion}:{word}", config),
                some if kept == names else first,
            )
        yield baseline(f"ridge:{word}", "ridge_cox", kept, plain), every
        if len(kept) > 1:
            yield baseline(f"z-sum:{word}", "late_cox", kept, plain), every
    if paper:
        config = FitConfig.of("paper", device="cpu", **PAPER.get(label, {}))
        yield Candidate("paper:" + "+".join(names), config), first


def computed(
    out: Path,
    cohort: Cohort,
    what: list[tuple[Candidate, list[Split]]],
    workers: int,
) -> tuple[Grid, Scale]:
    """Every cell of the plan."""
    horizons, _ = resolve_horizons(None, cohort)
    executor = (
        make_executor("process", workers=workers)
        if workers > 1
        else make_executor("inline")
    )
    grid = Cells(out, cohort, horizons, executor=executor).all(what, Told())
    return grid, Scale(horizons, horizons[-1], draws=0)


def scores(grid: Grid, scale: Scale) -> pd.DataFrame:
    """A row per model: estimates with intervals, on the folds that all models of its modalities ran on.

    The preset `paper` runs on fewer, and does not keep the others from theirs.
    """
    rows = []
    for model, own in grid.folds.items():
        word = model.partition(":")[2]
        fewest = min(
            len(folds)
            for name, folds in grid.folds.items()
            if name.endswith(f":{word}") and not name.startswith("paper")
        )
        common = min(fewest, len(own))
        folds, found = own[:common], assess(own[:common], scale)
        row: dict[str, object] = {"model": model, "cells": common}
        row |= {metric: told(found[metric]) for metric in METRICS}
        anchored = grid.folds.get(f"anchored:{word}")
        if anchored is not None and anchored is not own:
            row["uno_c minus anchored"] = told(
                concordance_difference(folds, anchored[:common], scale.tau),
            )
        rows.append(row)
    return pd.DataFrame(rows)


def told(e: Estimate) -> str:
    """Value and interval, or why there is none."""
    return e.note if e.value is None else f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def costs(cohort: Cohort, split: Split, label: str, paper: bool) -> pd.DataFrame:
    """Seconds of one fit, inner folds included, and trained numbers; all modalities in, one process."""
    configs = {
        name: FitConfig.of(fusion=name, device="cpu") for name in ("anchored", *FUSIONS)
    }
    if paper:
        configs["paper"] = FitConfig.of("paper", device="cpu", **PAPER.get(label, {}))
    rows = []
    for name, config in configs.items():
        started = time.perf_counter()
        model = sf.SurvivalFusion.from_config(config).fit(cohort, patients=split.train)
        seconds = time.perf_counter() - started
        assert model.fitted is not None
        rows.append(
            {
                "model": name,
                "seconds": round(seconds, 1),
                "parameters": model.fitted.summary["parameters"],
            },
        )
    return pd.DataFrame(rows)


def real(
    out: Path,
    workers: int,
    labels: Sequence[str],
    repeats: int,
    network_repeats: int,
    paper: bool,
) -> None:
    for label in labels:
        dataset, options = COHORTS[label]
        folder = out / "cohorts" / label
        if not folder.exists():
            card(dataset).convert(folder, **options)
        cohort = sf.load_cohort(folder / "cohort.yaml")
        splits, _ = splits_of(cohort, CrossvalConfig(repeats=repeats))
        what = list(plan(cohort, label, splits, network_repeats, paper))
        grid, scale = computed(out / label, cohort, what, workers)
        table = scores(grid, scale)
        table.to_csv(out / f"{label}.csv", index=False)
        print(label, table.to_string(index=False), sep="\n", flush=True)
        cost = costs(cohort, splits[0], label, paper)
        cost.to_csv(out / f"{label}-costs.csv", index=False)
        print(cost.to_string(index=False), flush=True)


def recovered(log_risk: FloatArray, truth: FloatArray) -> float:
    """Rank correlation; 0 for a model that tells nobody apart, NaN where the truth does not."""
    if np.ptp(truth) == 0:
        return np.nan
    return 0.0 if np.ptp(log_risk) == 0 else float(spearmanr(log_risk, truth)[0])


def simulated(out: Path, workers: int, seeds: int) -> None:
    rows = []
    for signal, missing, seed in itertools.product(
        ("additive", "interaction", "none"),
        (False, True),
        range(seeds),
    ):
        label = f"{signal}{'-missing' if missing else ''}-{seed}"
        folder = out / "cohorts" / label
        if not folder.exists():
            simulate(
                folder,
                signal=signal,
                seed=seed,
                missing=MISSING if missing else None,
                **SIMULATED,
            )
        cohort = sf.load_cohort(folder / "cohort.yaml")
        truth = pd.read_csv(folder / "truth.csv", dtype={"patient_id": str}).set_index(
            "patient_id",
        )["log_risk"]
        splits, _ = splits_of(cohort, CrossvalConfig())
        what: list[tuple[Candidate, list[Split]]] = [
            (
                Candidate(name, FitConfig.of(fusion=name, device="cpu")),
                list(splits),
            )
            for name in ("anchored", *FUSIONS)
        ]
        grid, scale = computed(out / label, cohort, what, workers)
        for model, table in grid.tables.items():
            c = assess(grid.folds[model], scale)["uno_c"]
            within = [
                recovered(
                    part["log_risk"].to_numpy(),
                    truth[part["patient_id"]].to_numpy(),
                )
                for _, part in table.groupby("fold")
            ]
            rows.append(
                {"signal": signal, "missing": missing, "seed": seed, "model": model}
                | {
                    "uno_c": c.value,
                    "low": c.low,
                    "high": c.high,
                    "rank_correlation": float(np.mean(within)),
                },
            )
        print(
            pd.DataFrame(rows[-len(grid.tables) :]).round(3).to_string(index=False),
            flush=True,
        )
        pd.DataFrame(rows).to_csv(out / "planted.csv", index=False)
    table = pd.DataFrame(rows).groupby(["signal", "missing", "model"], sort=False)[
        ["uno_c", "rank_correlation"]
    ]
    print(table.mean().round(3).to_string())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", choices=["real", "simulated"])
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--cohorts",
        nargs="+",
        choices=list(COHORTS),
        default=list(COHORTS),
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--network-repeats", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--no-paper",
        action="store_true",
        help="leave the preset out: it is by far the slowest",
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.study == "real":
        real(
            given.out,
            given.workers,
            given.cohorts,
            given.repeats,
            given.network_repeats,
            not given.no_paper,
        )
    else:
        simulated(given.out, given.workers, given.seeds)


if __name__ == "__main__":
    main()
