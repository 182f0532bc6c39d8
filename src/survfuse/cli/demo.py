"""`demo`: from slides to predictions on a simulated cohort; each step is a command to type."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from survfuse.cli import (
    cohorts,
    explain_command,
    extract_command,
    predict_command,
    runs,
)
from survfuse.cli.options import option

PARTS = ("cohort", "crossval", "bundle", "new.csv", "new.json", "why")
"""What a demo makes in its folder."""


def demo(
    out: Annotated[
        Path,
        option("Folder for everything the demo makes.", "-o", "--out"),
    ] = Path("demo"),
    patients: Annotated[int, option("Patients to learn from.")] = 176,
    new: Annotated[int, option("Further patients to predict.")] = 24,
    slides: Annotated[
        bool,
        option(
            "Start from painted slides, or from bags of features.",
            "--slides/--no-slides",
        ),
    ] = True,
    slide_px: Annotated[
        int,
        option("Longest side of a slide, px of 0.5 µm."),
    ] = 1536,
    tiles: Annotated[
        int,
        option("Typical tiles per patient, with --no-slides."),
    ] = 200,
    genes: Annotated[int, option("Genes.")] = 19359,
    seed: Annotated[int, option("Seed of the simulation.")] = 2,
    fresh: Annotated[bool, option("Delete OUT first.", "--fresh")] = False,
) -> None:
    """Simulate slides and tables, extract features, cross-validate, train, predict and explain.

    A demo that was interrupted goes on where it was.
    """
    _refuse_other_files(out)
    for part in PARTS if fresh else ():
        place = out / part
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    cohort = out / "cohort" / "cohort.yaml"
    later = out / "cohort" / "new" / "cohort.yaml"
    if not cohort.exists():
        size = f"--slides --slide-px {slide_px}" if slides else f"--tiles {tiles}"
        _print_command(
            f"simulate -o {out}/cohort --patients {patients} --signal composition {size} "
            f"--hold-out {new} --seed {seed}",
        )
        cohorts.simulate(
            out / "cohort",
            patients=patients,
            signal="composition",
            slides=slides,
            slide_px=slide_px,
            tiles=tiles,
            genes=genes,
            hold_out=new,
            seed=seed,
        )
    for file in (cohort, later):
        # A demo of an earlier version may start from bags.
        if (file.parent / "slides").is_dir():
            _print_command(f"extract {file} --executor process")
            extract_command.extract(file, executor="process")
    _print_command(f"validate {cohort}")
    cohorts.validate(cohort)
    _print_command(f"crossval {cohort} -o {out}/crossval")
    runs.crossval(cohort, out / "crossval")
    again = (out / "bundle").exists()  # of the demo before this one
    _print_command(f"train {cohort} -o {out}/bundle{' --force' if again else ''}")
    runs.train(cohort, out / "bundle", force=again)
    predictions = out / "new.csv"
    again = predictions.exists()
    _print_command(
        f"predict {out}/bundle {later} -o {predictions}{' --force' if again else ''}",
    )
    predict_command.predict(out / "bundle", later, predictions, force=again)
    for line in predictions.read_text().splitlines()[:4]:
        typer.echo(line)
    _explain(out, later, slides)


def _explain(out: Path, later: Path, slides: bool) -> None:
    """Explain the new patients: tables, pages, and maps where there are slides."""
    again = (out / "why").exists()
    options = "--pages --maps --map-format png" if slides else "--pages"
    _print_command(
        f"explain {out}/bundle {later} -o {out}/why {options}{' --force' if again else ''}",
    )
    explain_command.explain(
        out / "bundle",
        later,
        out / "why",
        pages=True,
        maps=slides,
        map_formats=["png"] if slides else None,
        force=again,
    )


def _refuse_other_files(out: Path) -> None:
    """Refuse a folder that holds files of others, and one that cannot be written to."""
    from survfuse._errors import ConfigError
    from survfuse._places import try_folder

    try_folder(out)
    is_demo = (out / "cohort" / "simulation.json").is_file()
    # Hidden files are those of the system, and our own lock.
    files = list(out.glob("[!.]*")) if out.exists() else []
    if files and not is_demo:
        raise ConfigError(f"{out}: holds files and is no demo; choose another folder")


def _print_command(arguments: str) -> None:
    typer.secho(f"\n$ survfuse {arguments}", bold=True)
