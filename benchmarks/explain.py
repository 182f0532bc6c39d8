"""What explaining costs: seconds and memory of the whole `survfuse explain`.

    python benchmarks/explain.py cohorts [--patients 500 1000] [--tiles 1000]
    python benchmarks/explain.py bag [--tiles 1000000]

Tiles have 1,024 features of float16, packed. The model is the default, trained on 100 patients whose
slides decide their outcome, so that slides have a weight; clinical data and 200 genes are there too.
`cohorts`: ever more patients. `bag`: four patients, one of whom has a bag of so many tiles. Each size
runs in a process of its own, after the tiles were read once with NumPy (summed in float32, a patient
at a time): seconds of both, their ratio, and the most memory that explaining held for itself, beyond
what was held before.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from measuring import OwnPeak

import survfuse as sf
from survfuse.fit_summary import weights_of
from survfuse.readers.bags import pack

WIDTH, GENES = 1024, 200
LEARNERS, LEARNERS_TILES = 100, 20


def make(folder: Path, tiles: list[int], seed: int) -> Path:
    """Write a cohort whose slides decide the outcome; the path of its file."""
    rng, count = np.random.default_rng(seed), len(tiles)
    shared = np.random.default_rng(0)
    direction = shared.standard_normal(WIDTH).astype(np.float32)
    pool = shared.standard_normal((4096, WIDTH)).astype(np.float32)
    ids = [f"P{seed}_{number:05d}" for number in range(count)]
    factor, age = rng.standard_normal(count), rng.uniform(40, 80, count)
    risk = 1.2 * factor + 0.04 * (age - 60)
    event_time = rng.exponential(1500 * np.exp(-risk))
    end = rng.uniform(500, 4000, count)
    folder.mkdir(parents=True)
    table = {
        "patient_id": ids,
        "days": np.minimum(event_time, end).clip(1).round(1),
        "event": (event_time <= end).astype(int),
        "age": age.round(1),
        "sex": rng.choice(["F", "M"], count),
    }
    pd.DataFrame(table).to_csv(folder / "patients.csv", index=False)
    genes = pd.DataFrame(
        rng.normal(6, 1, (count, GENES)).round(3),
        index=pd.Index(ids, name="patient_id"),
        columns=[f"GENE{number}" for number in range(GENES)],
    )
    genes.reset_index().to_parquet(folder / "rna.parquet", index=False)
    items = []
    for patient, size, shift in zip(ids, tiles, factor, strict=True):
        path = folder / f"{patient}.npy"
        block = np.lib.format.open_memmap(path, "w+", np.float16, (size, WIDTH))
        for first in range(0, size, 16_384):
            rows = rng.integers(0, len(pool), min(16_384, size - first))
            block[first : first + len(rows)] = pool[rows] + 0.3 * shift * direction
        block.flush()
        items.append((patient, patient, path))
    pack(items, folder / "slides.bags", encoder="uni", mpp=0.5)
    for _, _, path in items:
        path.unlink()
    spec = {
        "name": "benchmark",
        "outcome": {
            "table": "patients.csv",
            "time": "days",
            "unit": "days",
            "event": "event",
        },
        "clinical": {
            "table": "patients.csv",
            "columns": {"age": {"kind": "numeric"}, "sex": {"kind": "nominal"}},
        },
        "expression": {"path": "rna.parquet", "unit": "log2tpm", "genes": "symbol"},
        "slides": {"packed": "slides.bags"},
    }
    path = folder / "cohort.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def trained(folder: Path) -> Path:
    """Train the default; the bundle."""
    cohort = sf.load_cohort(
        make(folder / "learners", [LEARNERS_TILES] * LEARNERS, seed=1)
    )
    model = sf.SurvivalFusion().fit(cohort)
    terms = weights_of(model.need_fitted().summary)
    print(
        "weights:",
        ", ".join(f"{name} {one['value']:.2f}" for name, one in terms.items()),
    )
    return model.save(folder / "bundle")


def measure(bundle: Path, cohort: Path) -> None:
    """Read the tiles once with NumPy, then explain; prints a row."""
    from survfuse.cli.explain_command import explain
    from survfuse.readers.bags import BagStore

    store = BagStore.open(cohort.parent / "slides.bags")
    start = time.perf_counter()
    tiles, total = (
        np.load(cohort.parent / "slides.bags" / "features.npy", mmap_mode="r"),
        0.0,
    )
    for slide in store.slides:
        for first in range(slide.start, slide.stop, 16_384):
            total += float(
                tiles[first : min(first + 16_384, slide.stop)].astype(np.float32).sum()
            )
    reading = time.perf_counter() - start
    with OwnPeak() as peak:
        start = time.perf_counter()
        explain(bundle, cohort, cohort.parent / "explanation", quiet=True)
        seconds = time.perf_counter() - start
    ratio = seconds / reading
    print(
        f"{len(store.patients):8,} patients {store.tiles:11,} tiles: read {reading:6.1f} s, "
        f"explain {seconds:6.1f} s ({ratio:.1f}x), own memory {peak.megabytes:7,.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("cohorts", "bag"))
    parser.add_argument("--patients", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--tiles", type=int)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="survfuse-explain-") as place:
        folder = Path(place)
        bundle = trained(folder)
        if given.what == "cohorts":
            sizes = [[given.tiles or 1000] * count for count in given.patients]
        else:
            sizes = [[1000, 1000, 1000, given.tiles or 1_000_000]]
        for number, tiles in enumerate(sizes):
            cohort = make(folder / f"cohort{number}", tiles, seed=2 + number)
            child = context.Process(target=measure, args=(bundle, cohort))
            child.start()
            child.join()


if __name__ == "__main__":
    main()
