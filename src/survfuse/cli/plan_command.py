"""The command that plans a larger study from a pilot run: plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli.options import JsonFile, option, tested_file

WIDTH = 132
TITLES = {
    "uno_c": "Uno C",
    "calibration_slope": "calibration slope",
    "observed_expected": "observed / expected",
    "isbs": "ISBS",
}


def plan(
    run: Annotated[
        Path,
        typer.Argument(
            help="Folder that `crossval` wrote: the pilot.", show_default=False
        ),
    ],
    delta: Annotated[
        float,
        option("Increment to be shown, on the scale of the metric."),
    ] = 0.03,
    power: Annotated[
        float,
        option("Chance that the 95% interval of such an increment excludes 0."),
    ] = 0.8,
    metric: Annotated[
        str,
        option("Of the increment: uno_c, or isbs (how much smaller the error)."),
    ] = "uno_c",
    patients: Annotated[
        list[int] | None,
        option("A further number of patients to tell widths at. Repeatable."),
    ] = None,
    figure: Annotated[
        Path | None,
        option(
            "Draw power by number of patients to this file (.png, .svg, .pdf).",
            "--figure",
            callback=tested_file,
        ),
    ] = None,
    json: JsonFile = None,
) -> None:
    """Plan a larger study from a pilot: patients that an increment needs, widths of intervals.

    What is assumed is printed with the numbers; docs/planning.md says when not to trust them.
    """
    from survfuse._places import disk_errors
    from survfuse._storage import write_json
    from survfuse.evaluation.planning import plan as compute

    made = compute(run, delta, power, metric=metric, patients=patients or ())
    show(made)
    if json is not None:
        with disk_errors(json):
            write_json(json, made.to_dict())
        typer.echo(f"plan: {json}")
    if figure is not None:
        _draw(made, figure)
        typer.echo(f"figure: {figure}")


def show(made: Any) -> None:
    """Print a plan: two tables, what to buy next, and what is assumed."""
    from survfuse.cli.output import print_table

    typer.echo(
        f"Pilot: {made.patients:,} patients, {made.events:,} events ({made.endpoint}), "
        f"model {made.name}"
    )
    name = TITLES[made.metric]
    rows = made.increments_table.astype(object)
    rows = rows.where(rows.notna(), None).to_dict("records")
    print_table(
        f"Patients that show an increment of {made.delta:g} in {name} with a power of "
        f"{100 * made.power:g} %",
        ["increment of", "models", "in the pilot", "power now", "patients", "events"],
        [_increment_cells(row) for row in rows],
        text_columns={"increment of", "models"},
        width=WIDTH,
    )
    for row in rows:
        if row["note"]:
            typer.echo(f"{row['what']}, {row['kind']}: {row['note']}")
    _show_widths(made)
    typer.echo(f"What to buy next: {made.buy_next}")
    for note in made.notes:
        typer.echo(f"note: {note}")
    typer.echo("Assumed:")
    for sentence in made.assumptions:
        typer.echo(f"- {sentence}")


def _show_widths(made: Any) -> None:
    from survfuse.cli.output import print_table

    metrics = [width.metric for width in made.widths]
    titles = [_title(width) for width in made.widths]
    table = made.widths_table
    rows = []
    for size in made.sizes:
        at = table[table["patients"] == size].set_index("metric")
        cells = [_width_cell(at.loc[metric]) for metric in metrics]
        rows.append([f"{size:,}", f"{made.events_of(size):,}", *cells])
    print_table(
        f"How far the 95% interval of {made.name} would reach to each side (and how sure that is)",
        ["patients", "events", *titles],
        rows,
        text_columns=set(),
        width=WIDTH,
    )


def _increment_cells(row: dict[str, Any]) -> list[str]:
    from survfuse.survival.estimate import rounded

    found = ""
    if row["value"] is not None:
        found = rounded(row["value"], signed=True)
        if row["low"] is not None and row["high"] is not None:
            low, high = (
                rounded(row["low"], signed=True),
                rounded(row["high"], signed=True),
            )
            found += f" [{low}, {high}]"
    if row["patients"] is None:
        return [row["what"], row["kind"], found, "", "no plan", ""]
    needed = (
        f"{row['patients']:,} ({row['patients_low']:,} to {row['patients_high']:,})"
    )
    now = f"{100 * row['power_of_pilot']:.0f} %"
    return [row["what"], row["kind"], found, now, needed, f"{row['events']:,}"]


def _title(width: Any) -> str:
    """Metric, and the value that its interval is expected around."""
    from survfuse.evaluation.study_plan import AIMS

    value = AIMS.get(width.metric, width.estimate.value)
    return f"{TITLES[width.metric]} {value:.3g}"


def _width_cell(row: Any) -> str:
    cell, low = f"±{row['half_width']:.3f}", row["half_width_low"]
    return (
        cell if low is None else f"{cell} ({low:.3f} to {row['half_width_high']:.3f})"
    )


def _draw(made: Any, path: Path) -> None:
    """Draw the figure of power to a file."""
    from matplotlib import pyplot

    from survfuse._errors import ConfigError
    from survfuse._places import disk_errors
    from survfuse._storage import atomic_path
    from survfuse.figures.plotting import STYLE

    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigError(
            f"--figure {path}: expected a name that ends in .png, .svg or .pdf"
        )
    style: Any = {**STYLE, "savefig.facecolor": "white"}
    with pyplot.rc_context(style):
        figure = made.plot_power().figure
        with disk_errors(path), atomic_path(path) as temporary:
            figure.savefig(
                temporary, format=path.suffix[1:], dpi=150, bbox_inches="tight"
            )
        pyplot.close(figure)
