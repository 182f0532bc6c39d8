"""The command that opens patients and slides in a browser: view."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from survfuse.cli.options import CohortFile, option, tested_file


def view(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_BUNDLE",
            help="Bundle that `train` wrote, or folder of a `crossval` run.",
            show_default=False,
        ),
    ],
    cohort: CohortFile,
    port: Annotated[
        int,
        option("Port on this machine; 0: one that is free.", min=0, max=65535),
    ] = 0,
    no_browser: Annotated[
        bool,
        option("Print the address, and open no browser.", "--no-browser"),
    ] = False,
    reference: Annotated[
        Path | None,
        option(
            "Cohort file of the patients to compare with, where the bundle does not hold what the "
            "model reads of its training patients; as of `explain`.",
        ),
    ] = None,
    export: Annotated[
        str | None,
        option(
            "Write this patient to one HTML file, which opens without a server, and end.",
            "--export",
            metavar="PATIENT",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option("File for --export.", "-o", "--out", callback=tested_file),
    ] = None,
) -> None:
    """Look at patients, slides and maps in a browser, on this machine alone.

    A bundle shows predictions, explanations and maps; a run what was predicted out of fold.
    Nothing is sent anywhere; the server ends with Ctrl-C. For research only.
    """
    import time as clock

    from survfuse._errors import ConfigError
    from survfuse.cli.output import print_problems
    from survfuse.viewer.open_study import open_study
    from survfuse.viewer.serving import need_view, serve

    if (export is None) != (out is None):
        raise ConfigError(
            "--export PATIENT needs -o FILE.html, and the other way round"
        )
    if export is None:
        need_view()
    started = clock.monotonic()
    typer.echo(f"reading {source} and {cohort} …", err=True)
    study, damaged = open_study(source, cohort, reference)
    print_problems(study.cohort)
    for patient, why in damaged.items():
        typer.echo(f"left out: {patient}: {why}", err=True)
    seconds = clock.monotonic() - started
    typer.echo(f"{len(study.patients):,} patients in {seconds:.1f} s", err=True)
    if export is None or out is None:
        with suppress(KeyboardInterrupt):  # the way to end it
            serve(study, port=port, browser=not no_browser, say=typer.echo)
        typer.echo("viewer ended", err=True)
        return
    from survfuse.viewer.export import export_patient

    size = export_patient(study, export, out)
    typer.echo(f"{out}: {size / 1e6:.1f} MB, opens in any browser without a server")
