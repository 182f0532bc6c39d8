"""The verb that judges predictions of any program: evaluate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="CSV: patient_id, time, event, and log_risk and/or survival_<t> columns.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Folder for metrics.json, the other tables and report.html.",
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            help="CSV with time and event of the patients trained on: gives the censoring weights.",
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Predictions of another model for the same patients. Repeatable.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Which of the other models uses clinical variables alone."),
    ] = None,
    horizons: Annotated[
        list[float] | None,
        typer.Option("--horizon", help="Time to judge at. Repeatable."),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(help="End of Uno's C and integrated scores; the last horizon."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the times, for people.")] = "",
    name: Annotated[str | None, typer.Option(help="What the model is called.")] = None,
    interval: Annotated[
        str,
        typer.Option(help="influence, nadeau_bengio or bootstrap (slow)."),
    ] = "influence",
    draws: Annotated[
        int,
        typer.Option(min=0, help="Bootstrap resamples of calibration errors; 0: none."),
    ] = 200,
    json: Annotated[
        Path | None,
        typer.Option("--json", help="Also write the metrics to this file."),
    ] = None,
) -> None:
    """Judge predictions that any program wrote: ranking, error, calibration, net benefit, with intervals.

    Every metric is a number with its interval and note, or "not computable" and why.
    """
    from survfuse._errors import ConfigError
    from survfuse._places import disk_errors
    from survfuse._storage import write_json
    from survfuse.evaluation.combine import WAYS, Interval
    from survfuse.evaluation.predictions import evaluate as judge
    from survfuse.evaluation.result import try_metrics, try_run_folder
    from survfuse.report import try_page

    if interval not in WAYS:
        raise ConfigError(f"--interval {interval}: expected one of {', '.join(WAYS)}")
    if out is not None:
        try_run_folder(out, foreign=True)
        try_page(out)
    if json is not None:
        try_metrics(json)
    beside = {}
    for text in against or []:
        word, mark, file = text.partition("=")
        if not (word and mark and file):
            raise ConfigError(f"--against {text}: expected NAME=FILE")
        beside[word] = Path(file)
    result = judge(
        predictions,
        train=train,
        against=beside,
        reference=reference,
        horizons=horizons,
        tau=tau,
        unit=unit,
        interval=Interval(interval, max(5 * draws, 200)),  # type: ignore[arg-type]
        draws=draws,
        name=name,
        command=" ".join(["survfuse", *sys.argv[1:]]),
    )
    show(result)
    if json is not None:
        with disk_errors(json):
            write_json(json, result.metrics_dict())
        typer.echo(f"metrics: {json}")
    if out is not None:
        typer.echo(f"report: {result.report(out)}")


def show(result: Any) -> None:
    """Print every metric of every model, and why those without a value have none."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from survfuse.evaluation.folds import patients_of

    console = Console(width=None if sys.stdout.isatty() else 110)
    notes: dict[str, int] = {}
    for model, metrics in result.estimates.items():
        patients, events = patients_of(result.folds[model])
        head = f"{model}: {patients} patients, {events} events; times in {result.cohort['unit']}"
        table = Table(title=Text(head), title_justify="left")
        for column in ("metric", "value", "95% interval", "events", "notes"):
            table.add_column(
                column,
                justify="left" if column == "metric" else "right",
                no_wrap=True,
            )
        for metric, estimate in metrics.items():
            value, ends, marks = _cells(estimate, notes)
            table.add_row(metric, value, ends, str(estimate.events), Text(marks))
        console.print(table)
    if rows := result.performance["comparisons"]:
        console.print(_beside(rows, notes))
    for note, number in notes.items():
        typer.echo(f"[{number}] {note}")
    for note in result.record["notes"]:
        typer.echo(f"note: {note}")


def _beside(rows: Any, notes: dict[str, int]) -> Any:
    """Make the table of the model beside every other."""
    from rich.table import Table
    from rich.text import Text

    from survfuse.survival.estimate import Estimate

    table = Table(
        title=Text(f"{rows[0]['model']} minus the others, on the same patients"),
        title_justify="left",
    )
    for column in ("other", "of", "difference", "95% interval", "p (Holm)", "notes"):
        table.add_column(
            column,
            justify="left" if column in {"other", "of"} else "right",
            no_wrap=True,
        )
    for row in rows:
        p = "" if row["p_holm"] is None else f"{row['p_holm']:.3f}"
        for metric, adjusted in (("uno_c", p), ("isbs", "")):
            value, ends, marks = _cells(Estimate(**row[f"delta_{metric}"]), notes)
            table.add_row(
                Text(row["reference"]),
                metric,
                value,
                ends,
                adjusted,
                Text(marks),
            )
    return table


def _cells(estimate: Any, notes: dict[str, int]) -> tuple[str, str, str]:
    """Write the value of an estimate, its interval, and the numbers of its notes, which grow by new ones."""
    from survfuse.survival.estimate import rounded

    told = [part for part in estimate.note.split("; ") if part]
    marks = " ".join(f"[{notes.setdefault(part, len(notes) + 1)}]" for part in told)
    value = "not computable" if estimate.value is None else f"{estimate.value:.4f}"
    known = estimate.low is not None and estimate.high is not None
    return (
        value,
        f"{rounded(estimate.low)} to {rounded(estimate.high)}" if known else "",
        marks,
    )
