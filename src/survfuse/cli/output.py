"""Shared output: tables and problems for people, progress as bars or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from survfuse._errors import printable


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    text_columns: Collection[str],
    width: int | None = None,
    wrap: bool = False,
) -> None:
    """Print a table; columns that are not `text_columns` are aligned to the right.

    `width` counts where the output is not a terminal.
    """
    table = Table(title=Text(title), title_justify="left")
    for column in columns:
        side: Any = "left" if column in text_columns else "right"
        table.add_column(
            column,
            justify=side,
            no_wrap=not wrap,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else width).print(table)


def print_problems(cohort: Any) -> None:
    """Print the warnings that loading a cohort gave."""
    for problem in cohort.problems:
        typer.echo(printable(f"{problem.severity}: {problem}"), err=True)


def write_event(event: str, **fields: Any) -> None:
    """Write a line of progress for programs: one JSON object on stderr."""
    typer.echo(json.dumps({"event": event, **fields}), err=True)
