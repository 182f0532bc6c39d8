"""The verb that writes a first cohort file: of the files that are there, or of a toy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from survfuse.cli.options import option

if TYPE_CHECKING:
    from survfuse.drafts import Draft, Given

LONGEST = 60  # characters of a guess in the table


FORMAT_NAMES = (
    *("mcat", "stamp", "trident", "clam", "cbioportal", "gdc", "xena", "hancock"),
    "chimera",
)
"""Names of :data:`survfuse.drafts.FORMATS`, which `--help` does not import."""


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.")] = Path("my-study"),
    outcome: Annotated[
        Path | None,
        option("Table with follow-up times and status (of some formats, a folder)."),
    ] = None,
    clinical: Annotated[
        Path | None,
        option("Table of clinical variables; the outcome's table where left out."),
    ] = None,
    expression: Annotated[
        Path | None,
        option("Matrix of gene expression: a table, .h5ad, or a folder of JSON files."),
    ] = None,
    table: Annotated[
        list[Path] | None,
        option("Further table of inputs, such as blood values. Repeatable."),
    ] = None,
    features: Annotated[
        Path | None,
        option("Folder of feature files."),
    ] = None,
    slides: Annotated[
        Path | None,
        option("Folder of slide images, or a table of slides and patients."),
    ] = None,
    format_name: Annotated[
        str | None,
        option(
            f"How the files come: {', '.join(FORMAT_NAMES)}; any tables where left out.",
            "--format",
            metavar="NAME",
        ),
    ] = None,
) -> None:
    """Write a commented cohort file of your files, a run configuration, and JSON Schemas of both.

    Each field is guessed from the files, and its evidence written as a comment. What the files do
    not say (which status is the event, where both readings are possible) is asked on a terminal,
    and otherwise left as a marked blank. Data are named where they lie, never copied. Without any
    file, a toy cohort is written.

    Exits 0 when `validate` can run, 3 when blanks are left to fill.
    """
    from survfuse.drafts.given import Given

    given = Given(
        outcome=outcome,
        clinical=clinical,
        expression=expression,
        features=features,
        slides=slides,
        study=folder,
        tables=tuple(table or ()),
    )
    if given.is_empty and format_name is None:
        from survfuse.cli.template import write_template

        for file in write_template(folder):
            typer.echo(f"wrote {file}")
        typer.echo(f"next: survfuse validate {folder / 'cohort.yaml'}")
        return
    _draft_study(given, folder, format_name)


def _draft_study(given: Given, folder: Path, format_name: str | None) -> None:
    """Draft a cohort file, ask what can be asked, write it, and say what is left to do."""
    from survfuse.drafts import draft_of, format_card, write_draft
    from survfuse.drafts.writing import refuse_existing

    refuse_existing(folder, [folder / "cohort.yaml"])
    if format_name is None:
        draft = draft_of(given)
    else:
        card = format_card(format_name)
        card.refuse_unused(given)
        draft = card.draft(given.absolute())
    if sys.stdin.isatty():
        _ask(draft)
    _show(draft, folder)
    for file in write_draft(draft, folder):
        typer.echo(f"wrote {file}")
    blanks = draft.blanks()
    file = folder / "cohort.yaml"
    for place, blank in blanks.items():
        typer.secho("fill in: ", fg="yellow", nl=False)
        typer.echo(f"{place}: {blank.what}")
    then = f"fill these in, in {file}, then: " if blanks else ""
    endpoints = (
        list(draft.section("outcomes").items) if "outcomes" in draft.items else []
    )
    chosen = f" --endpoint {endpoints[0]}" if endpoints else ""
    typer.echo(f"next: {then}survfuse validate {file}{chosen}")
    if blanks:
        raise typer.Exit(3)


def _ask(draft: Draft) -> None:
    """Ask a person at the terminal for every blank that has a few answers."""
    for place, blank in draft.blanks().items():
        if not blank.choices:
            continue
        typer.echo(f"{place} ({blank.evidence})")
        for number, choice in enumerate(blank.choices, start=1):
            typer.echo(f"  {number}  {choice.answer}")
        answer: str = typer.prompt(
            "  which? (Enter: leave it blank)", default="", show_default=False
        )
        if answer.strip().isdigit() and 1 <= int(answer) <= len(blank.choices):
            draft.fill(place, blank.choices[int(answer) - 1])


def _show(draft: Draft, folder: Path) -> None:
    """Print what was guessed: all fields, and of the columns those that a person should check."""
    from survfuse.cli.output import print_table

    rows = []
    certain_columns = 0
    for row in draft.rows(folder):
        if ".columns." in row.field and row.state == "certain":
            certain_columns += 1
            continue
        guess = (
            row.value if len(row.value) <= LONGEST else f"{row.value[: LONGEST - 1]}…"
        )
        rows.append((row.field, guess, row.evidence, row.state))
    columns = ("field", "guess", "evidence", "state")
    print_table("drafted", columns, rows, text_columns=columns, wrap=True)
    if certain_columns:
        typer.echo(f"and {certain_columns} columns whose kind is clear")
