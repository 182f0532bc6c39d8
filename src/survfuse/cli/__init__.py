"""Verbs only. Nothing here computes, and `--help` imports no torch.

Exit codes: 0 done, 2 your input, 3 done in part, 1 our fault.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from survfuse._errors import SurvfuseError, printable
from survfuse._version import __version__
from survfuse.cli import cohorts, demo, doctor, extract, judging, runs

app = typer.Typer(
    name="survfuse",
    help="Multimodal survival prediction from slides, expression and clinical variables, evaluated honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130

VERBS: tuple[Callable[..., None], ...] = (
    cohorts.init,
    doctor.doctor,
    cohorts.validate,
    cohorts.pack,
    cohorts.simulate,
    extract.extract,
    runs.crossval,
    runs.train,
    runs.predict,
    judging.evaluate,
    runs.report,
    demo.demo,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(cohorts.datasets, name="datasets")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"survfuse {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; the process ends with one of the documented exit codes."""
    # Threads that wait spin by default; on a machine with other work that costs many times the work itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    try:
        app()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into an exit of its own
            typer.echo("interrupted; finished work is kept, the same command goes on from there", err=True)
        raise
    except SurvfuseError as error:
        typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(printable(str(error)), err=True)
        sys.exit(error.exit_code)
    except (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        typer.echo(f"error: {error}; choose another place, or mend its rights", err=True)
        sys.exit(2)
    except Exception:  # noqa: BLE001 - the last door: whatever else comes is our fault and says so
        traceback.print_exc()
        typer.echo("this is a fault in survfuse, not in your input; please report the lines above", err=True)
        sys.exit(1)
