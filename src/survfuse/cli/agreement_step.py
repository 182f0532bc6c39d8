"""The step of `train` and `explain` that fits half models, and what it prints."""

from __future__ import annotations

import sys
from typing import Any

import typer

from survfuse.cli.output import print_table, write_event
from survfuse.cli.result_tables import WIDTH

SHOWN = ("prediction", "term", "genes", "top genes", "tiles", "clusters")
"""Levels that are printed; all are in the bundle."""


def halves_of(
    model: Any,
    halves: int | None,
) -> int:
    """Pairs of half models that a fit shall have; says so where there are none.

    Parameters
    ----------
    model : SurvivalFusion
    halves : int or None
        As asked for; None: four, but none for a model that is a network, whose half models would
        take three times as long as itself.
    """
    from survfuse.explanations.agreement import SPLITS, usual_halves

    if halves is None:
        halves = usual_halves(model.config)
        if not halves:
            typer.echo(
                "agreement of its explanations: not measured, for that takes "
                f"{2 * SPLITS} fits of networks; ask with --halves {SPLITS}",
            )
    elif halves == 0:
        typer.echo("agreement of its explanations: not measured (--halves 0)")
    return halves


def with_agreement_of(
    model: Any,
    cohort: Any,
    halves: int,
    *,
    quiet: bool = False,
) -> Any:
    """Measure the agreement of a model's explanations, and print it.

    Parameters
    ----------
    model : SurvivalFusion
        Fitted or loaded.
    cohort : Cohort
        That it was trained on.
    halves : int
        Pairs of half models, 1 or more.
    quiet : bool
        No progress.

    Returns
    -------
    SurvivalFusion
        With its agreement; the one given, with a note why, where that cannot be computed.
    """
    from survfuse._errors import CohortError, ConfigError, NotComputableError
    from survfuse.explanations import with_agreement

    try:
        measured = with_agreement(
            model,
            cohort,
            halves=halves,
            progress=None if quiet else _say,
        )
    except (CohortError, ConfigError, NotComputableError) as error:
        typer.echo(f"note: agreement of its explanations: not measured: {error}")
        return model
    print_agreement(measured.need_fitted().agreement)
    return measured


def _say(text: str) -> None:
    if sys.stderr.isatty():
        typer.echo(f"agreement: {text}", err=True)
    else:
        write_event("agreement", fit=text)


def print_agreement(agreement: Any) -> None:
    """Print what another cohort would give again, level by level."""
    from survfuse.explanations.agreement_tables import agreement_frame

    rows = []
    for row in agreement_frame(agreement).to_dict("records"):
        if row["level"] in SHOWN and row["status"] != "not used":
            what = " ".join(filter(None, (row["modality"], row["name"])))
            halves = f"{row['agreement']:.2f} ({row['low']:.2f} to {row['high']:.2f})"
            expected = (
                "" if row["expected"] != row["expected"] else f"{row['expected']:.2f}"
            )
            rows.append([row["level"], what, halves, expected, row["says"]])
    print_table(
        f"Agreement of models of halves ({agreement.half:.0f} patients each, "
        f"{agreement.splits} pairs): 1 the same, 0 unrelated",
        [
            "level",
            "of",
            "halves (range)",
            f"expected of {agreement.patients}",
            "in words",
        ],
        rows,
        text_columns={"level", "of", "in words"},
        width=WIDTH,
        wrap=True,
    )
    for note in agreement.notes:
        typer.echo(f"note: {note}")
