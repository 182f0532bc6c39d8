"""Metrics with their standard errors: how long they take here, and how long in other libraries.

Prints one line per task: seconds here (value and standard error), seconds elsewhere
(value alone: no library below gives a standard error), and how many times as long
that is. Everything runs in one process, on the same arrays; a library whose time
would pass the limit runs on fewer patients, and the line says so.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [--patients 20000] [--times 100] [--bootstraps 1000]
"""

from __future__ import annotations

import argparse
import time as clock
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lifelines.utils
import numpy as np
import sksurv.metrics
from SurvivalEVAL import SurvivalEvaluator

from survfuse.survival.brier import brier, integrated_brier
from survfuse.survival.concordance import harrell_c, uno_c
from survfuse.survival.discrimination import auc

LIMIT = 60.0  # seconds a library may take
LADDER = (1000, 5000, 20_000)  # patients, until the limit is in sight


@dataclass(frozen=True)
class Cohort:
    """Outcome, log-risk and survival of simulated patients."""

    time: np.ndarray  # (patients,)
    event: np.ndarray  # (patients,)
    risk: np.ndarray  # (patients,)
    times: np.ndarray  # (times,)
    survival: np.ndarray  # (patients, times)

    @classmethod
    def draw(cls, patients: int, times: int) -> Cohort:
        """Simulate patients whose curves are right."""
        rng = np.random.default_rng(0)
        risk = rng.normal(size=patients)
        time, end = rng.exponential(10 * np.exp(-risk)), rng.exponential(15.0, patients)
        grid = np.linspace(0.2, 10.0, times)
        survival = np.exp(-np.outer(np.exp(risk), grid) / 10)
        return cls(np.minimum(time, end), time <= end, risk, grid, survival)

    def head(self, patients: int) -> Cohort:
        """Keep the first patients."""
        n = patients
        return Cohort(
            self.time[:n],
            self.event[:n],
            self.risk[:n],
            self.times,
            self.survival[:n],
        )

    @property
    def y(self) -> np.ndarray:
        """Outcome as sksurv wants it."""
        return np.array(
            list(zip(self.event, self.time, strict=True)),
            dtype=[("e", bool), ("t", float)],
        )


def evaluate(c: Cohort) -> float:
    evaluator = SurvivalEvaluator(c.survival, c.times, c.time, c.event, c.time, c.event)
    return float(evaluator.integrated_brier_score(target_times=c.times))


Task = Callable[[Cohort], Any]
OTHERS: dict[str, tuple[Task, dict[str, Task]]] = {
    "Harrell's C": (
        lambda c: harrell_c(c.time, c.event, c.risk).value,
        {
            "lifelines": lambda c: lifelines.utils.concordance_index(
                c.time,
                -c.risk,
                c.event,
            ),
            "sksurv": lambda c: sksurv.metrics.concordance_index_censored(
                c.event,
                c.time,
                c.risk,
            )[0],
        },
    ),
    "Uno's C to 10": (
        lambda c: uno_c(c.time, c.event, c.risk, 10.0).value,
        {
            "sksurv": lambda c: sksurv.metrics.concordance_index_ipcw(
                c.y,
                c.y,
                c.risk,
                tau=10.0,
            )[0],
        },
    ),
    "integrated Brier score": (
        lambda c: integrated_brier(c.time, c.event, c.survival, c.times).value,
        {
            "sksurv": lambda c: sksurv.metrics.integrated_brier_score(
                c.y,
                c.y,
                c.survival,
                c.times,
            ),
            "SurvivalEVAL": evaluate,
        },
    ),
    "Brier score at each time": (
        lambda c: [e.value for e in brier(c.time, c.event, c.survival, c.times)],
        {
            "sksurv": lambda c: sksurv.metrics.brier_score(
                c.y,
                c.y,
                c.survival,
                c.times,
            )[1],
        },
    ),
    "AUC at each time": (
        lambda c: [e.value for e in auc(c.time, c.event, c.risk, c.times)],
        {
            "sksurv": lambda c: sksurv.metrics.cumulative_dynamic_auc(
                c.y,
                c.y,
                c.risk,
                c.times,
            )[0],
        },
    ),
}


def seconds(task: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Best of some runs (a run above a second is not repeated), and what it gave."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = clock.perf_counter()
        result = task()
        best = min(best, clock.perf_counter() - start)
        if best > 1:
            break
    return best, result


def climb(task: Task, cohort: Cohort) -> tuple[int, float, Any]:
    """Run on more and more patients while four times the patients at 16 times the time fit the limit."""
    n = took = 0
    result = None
    for patients in [
        *(size for size in LADDER if size < len(cohort.time)),
        len(cohort.time),
    ]:
        if n and took * (patients / n) ** 2 > LIMIT:
            break
        n = patients
        took, result = seconds(lambda n=n: task(cohort.head(n)))
    return n, took, result


def line(
    name: str,
    where: str,
    patients: int,
    ours: float,
    theirs: float,
    difference: float,
) -> None:
    print(
        f"  {name:24s} {where:14s} {patients:6d} patients {ours:8.3f} s {theirs:8.3f} s"
        f" {theirs / ours:8.1f}x   differ by {difference:.0e}",
        flush=True,
    )


def against_others(cohort: Cohort) -> None:
    print(
        f"Against others, {len(cohort.time)} patients, {len(cohort.times)} times: here, there, ratio",
    )
    for name, (ours, others) in OTHERS.items():
        for where, theirs in others.items():
            n, slow, result = climb(theirs, cohort)
            fast, value = seconds(lambda n=n, ours=ours: ours(cohort.head(n)))
            line(
                name,
                where,
                n,
                fast,
                slow,
                float(np.abs(np.asarray(result) - value).max()),
            )


def resampled(cohort: Cohort, repeats: int) -> None:
    """Patient bootstraps: seconds of all of them, here and (from a hundredth of them) elsewhere."""
    n = len(cohort.time)
    rows = np.random.default_rng(1).integers(0, n, (repeats, n))

    def over(task: Task, some: np.ndarray) -> float:
        start = clock.perf_counter()
        for row in some:
            parts = (cohort.time, cohort.event, cohort.risk)
            task(
                Cohort(
                    *(part[row] for part in parts),
                    cohort.times,
                    cohort.survival[row],
                ),
            )
        return (clock.perf_counter() - start) * repeats / len(some)

    print(
        f"{repeats} bootstraps of {n} patients, {len(cohort.times)} times: here, there (extrapolated), ratio",
    )
    for name in ("Harrell's C", "integrated Brier score"):
        ours, others = OTHERS[name]
        took = over(ours, rows)
        for where, theirs in others.items():
            few = max(1, repeats // 100)
            slow = over(theirs, rows[:few])
            print(
                f"  {name:24s} {where:14s} {took:10.2f} s {slow:10.2f} s {slow / took:8.1f}x",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--bootstraps", type=int, default=1000)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # the others' own
    cohort = Cohort.draw(given.patients, given.times)
    against_others(cohort)
    resampled(cohort.head(2000), given.bootstraps)


if __name__ == "__main__":
    main()
