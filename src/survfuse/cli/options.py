"""Options that several verbs share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli import completions

MOST_BYTES = 2**24  # of a file of patients


def option(
    description: str,
    *names: str,
    **settings: Any,
) -> Any:
    """Describe an option; `names` where they differ from the parameter's."""
    return typer.Option(*names, help=description, **settings)


def tested_file(place: Path | None) -> Path | None:
    """Test, before any work is done, that a file can be written."""
    from survfuse._places import try_file

    return None if place is None else try_file(place)


CohortFile = Annotated[
    Path,
    typer.Argument(help="Cohort file (cohort.yaml).", show_default=False),
]
BundleFolder = Annotated[
    Path,
    typer.Argument(help="Bundle that `train` wrote.", show_default=False),
]
OutFolder = Annotated[
    Path,
    option("Folder for the results.", "-o", "--out", show_default=False),
]
ConfigFile = Annotated[
    Path | None,
    option("Run configuration (YAML).", "-c", "--config"),
]
Overrides = Annotated[
    list[str] | None,
    option(
        "Override, such as model.network.rank=32. Repeatable.",
        "--set",
        metavar="KEY=VALUE",
        autocompletion=completions.settings,
    ),
]
PresetName = Annotated[
    str | None,
    option(
        "Recipe: default or paper.",
        "--preset",
        autocompletion=completions.one_of(completions.PRESETS),
    ),
]
Priors = Annotated[
    list[str] | None,
    option(
        "Prior to use: one that comes with the package, or a folder of `prior fit`. Repeatable.",
        "--prior",
        metavar="NAME_OR_FOLDER",
    ),
]
EndpointName = Annotated[
    str | None,
    option(
        "Which of the `outcomes` of a cohort file with several.",
        "--endpoint",
        metavar="NAME",
    ),
]
JsonFile = Annotated[
    Path | None,
    option(
        "Also write the result as JSON to this file.",
        "--json",
        callback=tested_file,
    ),
]
Halves = Annotated[
    int | None,
    option(
        "Pairs of half models that say whether explanations reproduce; 0: none. Default: 4, of "
        "networks 0.",
        "--halves",
        min=0,
    ),
]
Quiet = Annotated[bool, option("No progress.", "-q", "--quiet")]
ExecutorName = Annotated[
    str,
    option(
        "What computes: inline, process (workers here) or ray (a cluster).",
        "--executor",
        autocompletion=completions.one_of(completions.EXECUTORS),
    ),
]
Workers = Annotated[
    int | None,
    option("How many compute at once; default: cores divided by threads.", "--workers"),
]
Threads = Annotated[
    int | None,
    option(
        "Threads of each worker; default: as here, or its share of the cores.",
        "--threads",
    ),
]
RayAddress = Annotated[
    str | None,
    option("Ray cluster to join; default: one is started here.", "--address"),
]


def endpoint_in(cohort: Path, endpoint: str | None) -> str | None:
    """Which endpoint to choose in a further cohort file; None where it has one outcome."""
    from survfuse.cohort import load_spec

    return endpoint if load_spec(cohort).outcomes else None


def run_config(
    file: Path | None,
    preset: str | None,
    overrides: list[str] | None,
    **fields: Any,
) -> Any:
    """Resolve file, preset, overrides and fields of `crossval` into a `RunConfig`."""
    from survfuse.config import load_config

    changes = [] if preset is None else [f"model.preset={preset}"]
    changes += overrides or []
    for name, value in fields.items():
        if value is not None:
            changes.append(f"crossval.{name}={value}")
    return load_config(
        file,
        changes,
        note=lambda text: typer.echo(f"note: {text}", err=True),
    )


def patients_of_file(file: Path) -> list[str]:
    """Patient ids of a text file, one on each line.

    Raises
    ------
    InputError
        When the file cannot be read, or names nobody.
    """
    from survfuse._errors import InputError
    from survfuse._gate import read_text

    lines = [line.strip() for line in read_text(file, limit=MOST_BYTES).splitlines()]
    ids = [line for line in lines if line]
    if not ids:
        raise InputError(f"{file}: expected a patient on each line, got none")
    return ids


def whole_numbers(
    name: str,
    text: str | None,
) -> list[int] | None:
    """Read the whole numbers, with commas between, that an option names.

    Raises
    ------
    ConfigError
        When something else than a whole number is there.
    """
    from survfuse._errors import ConfigError

    if text is None:
        return None
    numbers = []
    for part in text.split(","):
        if not (part.strip().isascii() and part.strip().isdigit()):
            raise ConfigError(
                f"{name} {text}: expected whole numbers with commas between, such as 50,100,200, "
                f"got {part!r}",
            )
        numbers.append(int(part))
    return numbers
