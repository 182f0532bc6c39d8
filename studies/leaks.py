"""How often the guard against the outcome among the inputs is right.

Honest columns of known kinds and columns that leak are simulated with an outcome; what
is refused (`certain`), is an error of SRV008 (`near`), or is only worth a look
(`possible`) is counted. Honest cohorts should have none of the first two. Real cohorts
are looked at where they are there (`SURVFUSE_DATA`).

    python studies/leaks.py --repeats 200 -o studies/leaks.json
"""

from __future__ import annotations

import argparse
import os
import time as clock
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from followup_columns import World, grades

from survfuse._storage import write_json
from survfuse.cohort import load_cohort
from survfuse.cohort.leakage import find_leaks
from survfuse.cohort.modalities import ExpressionData, TableData
from survfuse.cohort.spec import ColumnSpec
from survfuse.datasets import hancock, tcga_luad
from survfuse.readers.expression import Expression

Floats = npt.NDArray[np.float64]
CENSORING = ("both", "calendar", "open", "dropout")
HONEST_SIZES = (20, 30, 60, 100, 176, 300, 500)
LEAK_SIZES = (40, 60, 100, 200, 500)
GENES = 3000


def honest_world(
    repeat: int,
    count: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An outcome driven by one strong marker, and columns that are known at time zero."""
    world = World(CENSORING[repeat % 4], count, (0.15, 0.35, 0.6)[repeat % 3], rng)
    z, high = world.normal, world.normal > 0
    drivers: tuple[Floats | float, ...] = (
        np.log(4) * z,
        -np.log(4) * z,
        np.log(16) * high,
        np.log(50) * high,
        0.0,
    )
    seen = world.outcome(drivers[repeat % 5])
    columns = pd.DataFrame(
        {
            "marker": z,
            "marker, rounded": z.round(1),
            "marker, some missing": np.where(rng.random(count) < 0.2, np.nan, z),
            "marker, missing when high": np.where(high, np.nan, z),
            "binary marker": high.astype(float),
            "grade": grades(z).astype(float),
            "noisy marker": z + 0.5 * rng.standard_normal(count),
            "rank of marker": np.argsort(np.argsort(z)).astype(float),
            "date of entry": world.entry,
            "year of entry": np.floor(world.entry / 12),
            "months from entry to analysis": world.entry.max() - world.entry,
            "coin": rng.integers(0, 2, count).astype(float),
            "rare": (rng.random(count) < 0.05).astype(float),
            "three levels": rng.integers(0, 3, count).astype(float),
            "age": (65 + 10 * rng.standard_normal(count)).round(),
        },
    )
    return columns, seen


def leaking(world: World, seen: pd.DataFrame) -> dict[str, Any]:
    """Columns that are the outcome under another name."""
    rng, time, event = world.rng, seen["time"].to_numpy(), seen["event"].to_numpy(bool)
    status = event.astype(float)
    some = rng.random(len(time)) < 0.15
    wrong = rng.choice(len(time), max(1, len(time) // 60), replace=False)
    flipped = status.copy()
    flipped[wrong] = 1 - flipped[wrong]
    moved = time.copy()
    moved[wrong] = rng.permutation(time)[: len(wrong)]
    return {
        "event": status,
        "event, 15 % missing": np.where(some, np.nan, status),
        "event, one in 60 wrong": flipped,
        "event in words": np.where(event, "1:DECEASED", "0:LIVING"),
        "event in three words": np.where(event, np.where(some, "DOC", "DOD"), "alive"),
        "stage with event": np.char.add(
            rng.choice(["I ", "II ", "III "], len(time)),
            np.where(event, "d", "a"),
        ),
        "event in noise": status + 0.4 * rng.random(len(time)),
        "known for events only": np.where(
            event,
            rng.standard_normal(len(time)),
            np.nan,
        ),
        "time": time,
        "time, days": (30.44 * time).round(),
        "time, years": np.floor(time / 12),
        "time, reversed": -np.sqrt(time),
        "time, one in 60 wrong": moved,
        "time, 5 % noise": time * np.exp(0.05 * rng.standard_normal(len(time))),
        "days to death": np.where(event, time, np.nan),
        "days to last follow-up": np.where(event, np.nan, time),
        "time, negative if alive": np.where(event, time, -time),
        "dead within 2 years": np.where(time > 24, 0.0, np.where(event, 1.0, np.nan)),
        "survivors in words": np.select(
            [time < 12, time < 36],
            ["short", "middle"],
            "long",
        ),
    }


def table_of(columns: pd.DataFrame) -> TableData:
    """A clinical table; words are nominal, numbers numeric."""
    kinds = {
        name: "nominal" if columns[name].dtype == object else "numeric"
        for name in columns
    }
    cells = columns.astype(object).map(lambda cell: "" if cell != cell else str(cell))
    cells.index = pd.Index([str(row) for row in range(len(columns))])
    specs = {name: ColumnSpec(kind=kind) for name, kind in kinds.items()}
    return TableData("clinical", cells, specs, ("",), "clinical")


def genes_of(count: int, risk: Floats, rng: np.random.Generator) -> ExpressionData:
    """Noise genes, the first of which carry a part of the marker."""
    values = rng.standard_normal((count, GENES)).astype(np.float32)
    values[:, :20] += risk[:, None]
    values[:, ::5] = np.maximum(values[:, ::5], 0)
    names = tuple(f"G{gene}" for gene in range(GENES))
    patients = tuple(str(row) for row in range(count))
    return ExpressionData(
        "rna",
        Expression(values, names, patients, "zscore", "symbol", "", ""),
        patients,
    )


def outcome_of(seen: pd.DataFrame) -> pd.DataFrame:
    """The outcome as a cohort holds it."""
    index = pd.Index([str(row) for row in range(len(seen))])
    return pd.DataFrame(
        {"time": seen["time"].to_numpy(), "event": seen["event"].to_numpy(bool)},
        index=index,
    )


def honest(repeats: int, seed: int) -> pd.DataFrame:
    """Cohorts with any column in each grade, by size; every cohort has 3,015 honest columns."""
    rows = []
    for count in HONEST_SIZES:
        graded: dict[str, set[int]] = {
            "certain": set(),
            "near": set(),
            "possible": set(),
        }
        names: set[str] = set()
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, count, repeat])
            columns, seen = honest_world(repeat, count, rng)
            data = {
                "clinical": table_of(columns),
                "rna": genes_of(count, columns["marker"].to_numpy(), rng),
            }
            for leak in find_leaks(data, outcome_of(seen)):
                graded[leak.grade].add(repeat)
                names.add(f"{leak.column}: {leak.grade}")
        share = {grade: len(cohorts) / repeats for grade, cohorts in graded.items()}
        rows.append({"patients": count, **share, "columns": "; ".join(sorted(names))})
    return pd.DataFrame(rows)


def power(repeats: int, seed: int) -> pd.DataFrame:
    """Share of leaking columns of each kind that stop a run (certain or near), by cohort size."""
    caught: dict[str, dict[int, int]] = {}
    for count in LEAK_SIZES:
        for repeat in range(repeats):
            rng = np.random.default_rng([seed, 1, count, repeat])
            world = World(CENSORING[repeat % 4], count, (0.25, 0.5)[repeat % 2], rng)
            seen = world.outcome(np.log(2) * world.normal)
            for name, values in leaking(world, seen).items():
                column = pd.DataFrame({name: values}).assign(
                    age=rng.standard_normal(count),
                )
                leaks = find_leaks({"clinical": table_of(column)}, outcome_of(seen))
                stopped = any(
                    leak.column == name and leak.grade != "possible" for leak in leaks
                )
                caught.setdefault(name, dict.fromkeys(LEAK_SIZES, 0))[count] += stopped
    rows = [
        {
            "leak": name,
            **{str(count): hits / repeats for count, hits in by_size.items()},
        }
        for name, by_size in caught.items()
    ]
    return pd.DataFrame(rows)


def real() -> pd.DataFrame:
    """What is found in real cohorts, none of which has the outcome among its inputs."""
    root = Path(os.environ.get("SURVFUSE_DATA", "../shared/data"))
    rows = []
    with TemporaryDirectory() as folder:
        made: dict[str, Callable[[], Path]] = {
            "hancock os": lambda: hancock(Path(folder) / "os", source=root / "hancock"),
            "hancock rfs": lambda: hancock(
                Path(folder) / "rfs",
                source=root / "hancock",
                endpoint="rfs",
            ),
            "luad": lambda: tcga_luad(Path(folder) / "luad", source=root / "tcga_luad"),
        }
        for place in sorted((root / "tcga_omics").glob("*/")):
            made[place.name] = lambda place=place: omics(place, Path(folder))
        for name, make in made.items():
            cohort = load_cohort(make())
            started = clock.process_time()
            found = find_leaks(cohort.modalities, cohort.outcome)
            seconds = round(clock.process_time() - started, 1)
            columns = sum(data.features for data in cohort.modalities.values())
            told = "; ".join(f"{leak.label} {leak.grade}" for leak in found)
            rows.append(
                (name, len(cohort), cohort.events, columns, len(found), told, seconds),
            )
    heads = ["cohort", "patients", "events", "inputs", "leaks", "which", "seconds"]
    return pd.DataFrame(rows, columns=heads)


def omics(place: Path, folder: Path) -> Path:
    """A cohort file for one folder of `tcga_omics`."""
    tables = "".join(
        f"  {name}: {{table: {place / f'{name}.parquet'}, columns: {{match: '*'}}}}\n"
        for name in ("cnv", "mut")
        if (place / f"{name}.parquet").exists()
    )
    file = folder / f"{place.name}.yaml"
    file.write_text(
        f"name: {place.name}\n"
        f"outcome: {{table: {place}/patients.csv, patient: case_id, time: os_months, unit: months, "
        "event: os_event, exclude_invalid: true}\n"
        f"clinical: {{table: {place}/patients.csv, columns: {{age: numeric, is_female: nominal}}}}\n"
        f"expression: {{path: {place}/rna_z.parquet, unit: zscore}}\n"
        f"modalities:\n{tables}",
    )
    return file


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--only", choices=["honest", "power", "real"])
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    tables = {
        "honest": lambda: honest(given.repeats, given.seed),
        "power": lambda: power(given.repeats, given.seed),
        "real": real,
    }
    shown = {
        name: make() for name, make in tables.items() if given.only in (None, name)
    }
    for name, table in shown.items():
        print(
            f"\n{name}\n{table.to_string(index=False, float_format=lambda share: f'{share:.3f}')}",
        )
    if given.out is not None:
        write_json(
            given.out,
            {name: table.to_dict(orient="records") for name, table in shown.items()},
        )


if __name__ == "__main__":
    main()
