"""`demo`: the whole way on a simulated cohort, every step a command the user can type."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from survfuse.cli import cohorts, runs


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for everything the demo makes.")] = Path(
        "demo"
    ),
    patients: Annotated[int, typer.Option(help="Patients to learn from.")] = 176,
    new: Annotated[int, typer.Option(help="Further patients to predict.")] = 24,
    tiles: Annotated[int, typer.Option(help="Typical tiles per patient.")] = 200,
    genes: Annotated[int, typer.Option(help="Genes.")] = 19359,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete OUT first.")] = False,
) -> None:
    """Simulate a cohort, cross-validate, train, predict new patients and report.

    A demo that was interrupted goes on where it was.
    """
    if fresh and (out / "cohort" / "simulation.json").is_file():
        shutil.rmtree(out)
    cohort = out / "cohort" / "cohort.yaml"
    if not cohort.exists():
        _say(
            f"survfuse simulate -o {out}/cohort --patients {patients} --tiles {tiles} "
            f"--hold-out {new} --seed {seed}"
        )
        cohorts.simulate(
            out / "cohort",
            patients=patients,
            tiles=tiles,
            genes=genes,
            hold_out=new,
            seed=seed,
            signal="additive",
        )
    _say(f"survfuse validate {cohort}")
    cohorts.validate(cohort)
    _say(f"survfuse crossval {cohort} -o {out}/crossval")
    runs.crossval(cohort, out / "crossval")
    _say(f"survfuse train {cohort} -o {out}/bundle")
    runs.train(cohort, out / "bundle")
    _say(f"survfuse predict {out}/bundle {out}/cohort/new/cohort.yaml -o {out}/new.csv")
    runs.predict(out / "bundle", out / "cohort" / "new" / "cohort.yaml", out / "new.csv")
    typer.echo((out / "new.csv").read_text().split("\n", 4)[0])
    for line in (out / "new.csv").read_text().splitlines()[1:4]:
        typer.echo(line)


def _say(command: str) -> None:
    typer.secho(f"\n$ {command}", bold=True)
