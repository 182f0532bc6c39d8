"""`demo`: the whole way from slides on a simulated cohort, every step a command the user can type."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from survfuse.cli import cohorts, runs

PARTS = ("cohort", "crossval", "bundle", "new.csv", "new.json")
"""What a demo makes in its folder."""


def demo(
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="Folder for everything the demo makes."),
    ] = Path("demo"),
    patients: Annotated[int, typer.Option(help="Patients to learn from.")] = 176,
    new: Annotated[int, typer.Option(help="Further patients to predict.")] = 24,
    slides: Annotated[
        bool,
        typer.Option(
            "--slides/--no-slides",
            help="Start from painted slides, or from bags of features.",
        ),
    ] = True,
    slide_px: Annotated[
        int,
        typer.Option(help="Longest side of a slide, px of 0.5 µm."),
    ] = 1536,
    tiles: Annotated[
        int,
        typer.Option(help="Typical tiles per patient, with --no-slides."),
    ] = 200,
    genes: Annotated[int, typer.Option(help="Genes.")] = 19359,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete OUT first.")] = False,
) -> None:
    """Simulate slides and tables, extract features, cross-validate, train, predict new patients and report.

    A demo that was interrupted goes on where it was.
    """
    _require_own(out)
    for part in PARTS if fresh else ():
        place = out / part
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    cohort, later = (
        out / "cohort" / "cohort.yaml",
        out / "cohort" / "new" / "cohort.yaml",
    )
    if not cohort.exists():
        size = f"--slides --slide-px {slide_px}" if slides else f"--tiles {tiles}"
        _say(
            f"survfuse simulate -o {out}/cohort --patients {patients} {size} --hold-out {new} --seed {seed}",
        )
        cohorts.simulate(
            out / "cohort",
            patients=patients,
            slides=slides,
            slide_px=slide_px,
            tiles=tiles,
            genes=genes,
            hold_out=new,
            seed=seed,
            signal="additive",
        )
    for file in (cohort, later):
        if _has_slides(file):
            _extract(file)
    _say(f"survfuse validate {cohort}")
    cohorts.validate(cohort)
    _say(f"survfuse crossval {cohort} -o {out}/crossval")
    runs.crossval(cohort, out / "crossval")
    again = (out / "bundle").exists()  # of the demo before this one
    _say(f"survfuse train {cohort} -o {out}/bundle{' --force' if again else ''}")
    runs.train(cohort, out / "bundle", force=again)
    _say(f"survfuse predict {out}/bundle {later} -o {out}/new.csv")
    runs.predict(out / "bundle", later, out / "new.csv")
    for line in (out / "new.csv").read_text().splitlines()[:4]:
        typer.echo(line)


def _require_own(out: Path) -> None:
    """Refuse a folder that holds files of others, and one that cannot be written to."""
    from survfuse._errors import ConfigError
    from survfuse._places import try_folder

    try_folder(out)
    files = (
        [file for file in out.iterdir() if not file.name.startswith(".")]
        if out.exists()
        else []
    )
    if files and not (out / "cohort" / "simulation.json").is_file():
        raise ConfigError(f"{out}: holds files and is no demo; choose another folder")


def _has_slides(cohort: Path) -> bool:
    """Whether a cohort that the demo made starts from pixels (an older demo folder may not)."""
    return (cohort.parent / "slides").is_dir()


def _extract(cohort: Path) -> None:
    """Turn slides into features; those that are there already are kept."""
    from survfuse.cli.extract_command import extract

    _say(f"survfuse extract {cohort} --executor process")
    extract(cohort, executor="process")


def _say(command: str) -> None:
    typer.secho(f"\n$ {command}", bold=True)
