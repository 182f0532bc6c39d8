"""From pixels to survival: recover a signal planted in the look of tumour from the slides alone.

Slides are painted, extracted with `stain_texture` and cross-validated without any other modality, once with
survival that depends on how the tumour looks (`additive`) and once with survival that depends on nothing
(`none`), over the very same slides. Every step is a command that a user would type.

    python studies/slides.py [--seeds 3] [--patients 400] [--strength 3] -o slides.json

Prints the cross-validated Uno C with its interval of the network and of the ridge Cox on the mean tile,
beside the concordance that the true slide factors reach, which is the most that slides can tell.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse._storage import write_json
from survfuse.metrics import harrell_c

RIDGE = "ridge:slides"


def survfuse(*words: object) -> float:
    """Run a command, silently; return its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "survfuse", *map(str, words)]
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def ceiling(folder: Path) -> float | None:
    """Concordance of the true slide factors: their sum is the slide's part of the log-risk."""
    truth = pd.read_csv(folder / "truth.csv")
    best = truth["slide_factor_1"] + truth["slide_factor_2"]
    return harrell_c(truth["time"], truth["event"] == 1, best).value


def one(
    folder: Path,
    signal: str,
    seed: int,
    patients: int,
    strength: float,
) -> dict[str, Any]:
    """Slides, features, cross-validation of one cohort."""
    how = [
        "--slides",
        "--signal",
        signal,
        "--patients",
        patients,
        "--strength",
        strength,
    ]
    how += ["--event-rate", 0.5, "--genes", 200, "--seed", seed]
    seconds = {"simulate": survfuse("simulate", "-o", folder / "cohort", *how)}
    cohort = folder / "cohort" / "cohort.yaml"
    seconds["extract"] = survfuse(
        "extract",
        cohort,
        "--executor",
        "process",
        "--workers",
        2,
        "-q",
    )
    only = [
        "--set",
        "model.inputs.modalities=[slides]",
        "--set",
        "crossval.controls=false",
    ]
    seconds["crossval"] = survfuse(
        "crossval",
        cohort,
        "-o",
        folder / "run",
        *only,
        "--name",
        "network",
        "-q",
    )
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    row: dict[str, Any] = {
        "signal": signal,
        "seed": seed,
        "patients": patients,
        "strength": strength,
    }
    for model in ("network", RIDGE):
        row[model] = {
            key: metrics[model]["uno_c"][key] for key in ("value", "low", "high")
        }
    return {**row, "ceiling": ceiling(folder / "cohort"), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--strength", type=float, default=3.0)
    parser.add_argument("-o", "--out", type=Path, default=Path("slides.json"))
    how = parser.parse_args()
    rows = []
    for seed in range(how.seeds):
        for signal in ("additive", "none"):
            with tempfile.TemporaryDirectory() as name:
                row = one(Path(name), signal, seed, how.patients, how.strength)
            told = ", ".join(
                f"{model} {row[model]['value']:.3f} [{row[model]['low']:.3f}, {row[model]['high']:.3f}]"
                for model in ("network", RIDGE)
            )
            print(
                f"{signal:9s} seed {seed}: {told}; the true factors {row['ceiling']:.3f}",
                flush=True,
            )
            rows.append(row)
            write_json(how.out, rows)


if __name__ == "__main__":
    main()
