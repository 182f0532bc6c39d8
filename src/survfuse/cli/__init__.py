"""Verbs only. Nothing here computes, and `--help` imports no torch.

Exit codes: 0 done, 2 your input, 3 done in part, 1 our fault; ended by a signal: 130 Ctrl-C,
143 SIGTERM, 129 SIGHUP.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from survfuse._errors import SurvfuseError, printable
from survfuse._gate import format_bytes, free_memory
from survfuse._places import disk_advice, disk_errors
from survfuse._version import __version__
from survfuse.cli import (
    cohorts,
    demo,
    doctor,
    evaluate_command,
    explain_command,
    extract_command,
    init_command,
    plan_command,
    predict_command,
    prior_commands,
    recalibrate_command,
    runs,
    view_command,
)
from survfuse.cli.options import option
from survfuse.cli.signals import ended_in_order

app = typer.Typer(
    name="survfuse",
    help="Multimodal survival prediction from slides, expression and clinical variables, "
    "evaluated honestly.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS: tuple[Callable[..., None], ...] = (
    init_command.init,
    doctor.doctor,
    cohorts.validate,
    cohorts.pack,
    cohorts.simulate,
    extract_command.extract,
    runs.crossval,
    runs.train,
    predict_command.predict,
    recalibrate_command.recalibrate,
    explain_command.explain,
    evaluate_command.evaluate,
    plan_command.plan,
    runs.report,
    view_command.view,
    demo.demo,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(cohorts.datasets, name="datasets")
app.add_typer(prior_commands.priors, name="prior")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"survfuse {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        option(
            "Show the version and exit.",
            "--version",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; the process ends with one of the documented exit codes."""
    # Threads that wait spin by default; beside other work that costs many times the work itself.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace",
            )  # a file name need not be text
    try:
        with ended_in_order():
            try:
                app(prog_name="survfuse")
            finally:
                # A full disk behind the output is met here, not when Python ends.
                with disk_errors("standard output"):
                    sys.stdout.flush()
    except SurvfuseError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
        _drop_output()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whatever else comes is our fault and says so
        advice = _advice(error)
        if advice is not None:
            _end(advice, 2)
        traceback.print_exc()
        typer.echo(
            "this is a fault in survfuse, not in your input; please report the lines above",
            err=True,
        )
        sys.exit(1)


def _end(message: str, code: int) -> NoReturn:
    """Print an error, control characters of file names escaped, and end the process."""
    _drop_output()
    typer.secho(
        "error: ",
        fg="red",
        bold=True,
        nl=False,
        err=True,
    )
    typer.echo(printable(message), err=True)
    sys.exit(code)


def _advice(error: Exception) -> str | None:
    """Say what a person can do about an error that no verb has met: of a disk, or of memory."""
    if isinstance(error, OSError):
        return disk_advice(error)
    # torch has a class of its own or only a message, and is not imported for an error's sake.
    out_of_memory = (
        isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    )
    if isinstance(error, RuntimeError):
        message = str(error)
        out_of_memory |= (
            "can't allocate memory" in message or "not enough memory" in message
        )
    if not out_of_memory:
        return None
    return (
        "this takes more memory than is free on this machine "
        f"({format_bytes(free_memory())}); use a larger machine, or ask for less "
        "(fewer --workers, smaller batches)"
    )


def _drop_output() -> None:
    """Discard what is still to be printed: Python would try again as it ends, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
