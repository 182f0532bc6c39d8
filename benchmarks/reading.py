"""Matrices of text: how long the readers take, and how long `pandas.read_csv` and Polars.

Prints one line per file: seconds of `read_matrix` (ids, numbers, exact refusals), of
`read_expression` (unit and genes checked as well), of the others, and the ratio of the first to
`pandas.read_csv`. Everything runs in one process; each takes the best of some runs.

    python benchmarks/reading.py [--rows 20000] [--columns 500] [--runs 3] [--slow] [--cpu]
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from survfuse.readers import matrices, read_expression
from survfuse.readers.matrices import MISSING, read_matrix

now: Callable[[], float] = clock.perf_counter


def write(folder: Path, genes: int, patients: int) -> dict[str, Path]:
    """Write one matrix in both orientations, plain, packed and with missing cells."""
    generator = np.random.default_rng(0)
    depth = generator.lognormal(0, 0.5, patients)
    counts = generator.poisson(generator.lognormal(4, 2, (genes, 1)) * depth)
    frame = pd.DataFrame(
        np.log2(counts + 1.0).round(4),
        [f"GENE{n}" for n in range(genes)],
        [f"P{n}" for n in range(patients)],
    )
    holes = frame.mask(generator.random(frame.shape) < 0.02)
    files = {
        "genes in rows": frame,
        "patients in rows": frame.T,
        "genes in rows, 2 % missing": holes,
    }
    paths = {}
    for number, (name, content) in enumerate(files.items()):
        paths[name] = folder / f"{number}.csv"
        content.to_csv(paths[name], index_label="id", na_rep="NA")
    packed = folder / "0.csv.gz"
    packed.write_bytes(gzip.compress(paths["genes in rows"].read_bytes(), 1))
    return paths | {"genes in rows, .gz": packed}


def best(task: Callable[[], Any], runs: int) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(runs):
        start = now()
        task()
        seconds.append(now() - start)
    return min(seconds)


def measure(name: str, path: Path, runs: int) -> str:
    """One line of the table."""
    orientation: Any = (
        "patients_by_genes" if name.startswith("patients") else "genes_by_patients"
    )
    ours = best(lambda: read_matrix(path, None, MISSING), runs)
    checked = best(
        lambda: read_expression(
            path,
            unit="log2counts",
            genes="symbol",
            orientation=orientation,
        ),
        runs,
    )
    pandas = best(lambda: pd.read_csv(path, index_col=0), runs)
    exact = best(
        lambda: pd.read_csv(path, index_col=0, float_precision="round_trip"),
        runs,
    )
    try:
        import polars
    except ImportError:
        other = float("nan")
    else:
        other = best(lambda: polars.read_csv(path, null_values="NA"), runs)
    return (
        f"{name:28} {ours:8.2f} {checked:10.2f} {pandas:8.2f} {exact:8.2f} {other:8.2f} "
        f"{ours / pandas:7.2f}"
    )


def main() -> None:
    """Parse arguments and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="genes")
    parser.add_argument("--columns", type=int, default=500, help="patients")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="the slow reader alone")
    parser.add_argument("--cpu", action="store_true", help="seconds of all processors")
    choices = parser.parse_args()
    if choices.cpu:
        global now
        now = clock.process_time
    if choices.slow:
        matrices.quick_numbers = lambda *_, **__: None
    print(
        f"{'seconds':28} {'matrix':>8} {'expression':>10} {'pandas':>8} {'exact':>8} "
        f"{'polars':>8} {'ratio':>7}",
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write(Path(folder), choices.rows, choices.columns).items():
            print(measure(name, path, choices.runs), flush=True)


if __name__ == "__main__":
    main()
