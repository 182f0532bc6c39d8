"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def written(place: Path | None) -> Path | None:
    """Try, before any work is done, a file that an option names to be written."""
    from survfuse._places import try_file

    return place if place is None else try_file(place)


CohortFile = Annotated[
    Path,
    typer.Argument(help="Cohort file (cohort.yaml).", show_default=False),
]
OutFolder = Annotated[
    Path,
    typer.Option("-o", "--out", help="Folder for the results.", show_default=False),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Run configuration (YAML)."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override, such as model.network.rank=32. Repeatable.",
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="Recipe: default or paper."),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        help="Also write the result as JSON to this file.",
        callback=written,
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="What computes: inline, process (workers here) or ray (a cluster).",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="How many compute at once; default: cores divided by threads.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Threads of each worker; default: as here, or its share of the cores.",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Ray cluster to join; default: one is started here.",
    ),
]


def run_config(
    file: Path | None,
    preset: str | None,
    overrides: list[str] | None,
) -> Any:
    """Resolve file, preset and overrides into a `RunConfig`; overrides win."""
    from survfuse.config import load_config

    chosen = [f"model.preset={preset}"] if preset is not None else []
    return load_config(file, [*chosen, *(overrides or [])], note=_note)


def _note(text: str) -> None:
    typer.echo(f"note: {text}", err=True)
