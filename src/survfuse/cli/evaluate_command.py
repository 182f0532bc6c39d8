"""The command that evaluates predictions of any program: evaluate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli import completions


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
        typer.Option("--horizon", help="Time to evaluate at. Repeatable."),
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(help="End of Uno's C and integrated scores; the last horizon."),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(help="Unit of the times, for people; the file's column `unit`."),
    ] = "",
    name: Annotated[str | None, typer.Option(help="What the model is called.")] = None,
    interval: Annotated[
        str,
        typer.Option(
            help="influence, nadeau_bengio or bootstrap (slow).",
            autocompletion=completions.one_of(completions.INTERVALS),
        ),
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
    """Evaluate predictions of any program: ranking, error, calibration, with intervals.

    Every metric is a number with its interval and note, or "not computable" and why.
    """
    from survfuse._errors import ConfigError
    from survfuse._places import disk_errors
    from survfuse._storage import write_json
    from survfuse.evaluation.combine import WAYS, Interval
    from survfuse.evaluation.predictions import evaluate as compute
    from survfuse.report import try_page
    from survfuse.results.folder import try_metrics, try_run_folder

    if interval not in WAYS:
        raise ConfigError(f"--interval {interval}: expected one of {', '.join(WAYS)}")
    if out is not None:
        try_run_folder(out, foreign=True)
        try_page(out)
    if json is not None:
        try_metrics(json)
    others = {}
    for text in against or []:
        label, mark, file = text.partition("=")
        if not (label and mark and file):
            raise ConfigError(f"--against {text}: expected NAME=FILE")
        others[label] = Path(file)
    result = compute(
        predictions,
        train=train,
        against=others,
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

    from survfuse.evaluation.folds import patients_of
    from survfuse.survival.estimate import Estimate

    console = Console(width=None if sys.stdout.isatty() else 110)
    notes: dict[str, int] = {}
    for model, metrics in result.estimates.items():
        patients, events = patients_of(result.folds[model])
        unit = result.cohort["unit"]
        table = _table(
            f"{model}: {patients} patients, {events} events; times in {unit}",
            left=("metric",),
            right=("value", "95% interval", "events", "notes"),
        )
        for metric, estimate in metrics.items():
            value, interval, marks = _cells(estimate, notes)
            table.add_row(metric, value, interval, str(estimate.events), marks)
        console.print(table)
    if rows := result.performance["comparisons"]:
        table = _table(
            f"{rows[0]['model']} minus the others, on the same patients",
            left=("other", "of"),
            right=("difference", "95% interval", "p (Holm)", "notes"),
        )
        for row in rows:
            p = "" if row["p_holm"] is None else f"{row['p_holm']:.3f}"
            for metric, adjusted in (("uno_c", p), ("isbs", "")):
                value, interval, marks = _cells(
                    Estimate(**row[f"delta_{metric}"]),
                    notes,
                )
                name = _plain(row["reference"])
                table.add_row(name, metric, value, interval, adjusted, marks)
        console.print(table)
    for note, number in notes.items():
        typer.echo(f"[{number}] {note}")
    for note in result.record["notes"]:
        typer.echo(f"note: {note}")


def _table(
    title: str,
    left: Sequence[str],
    right: Sequence[str],
) -> Any:
    """Table with these columns, aligned left and right."""
    from rich.table import Table

    table = Table(title=_plain(title), title_justify="left")
    for column in left:
        table.add_column(column, no_wrap=True)
    for column in right:
        table.add_column(
            column,
            justify="right",
            no_wrap=True,
        )
    return table


def _plain(text: str) -> Any:
    """Text without markup."""
    from rich.text import Text

    return Text(text)


def _cells(
    estimate: Any,
    notes: dict[str, int],
) -> tuple[str, str, Any]:
    """Value of an estimate, its interval, and the numbers of its notes; new notes are added."""
    from survfuse.survival.estimate import rounded

    numbers = []
    for part in estimate.note.split("; "):
        if part:
            numbers.append(f"[{notes.setdefault(part, len(notes) + 1)}]")
    value = "not computable" if estimate.value is None else f"{estimate.value:.4f}"
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"{rounded(estimate.low)} to {rounded(estimate.high)}"
    return value, interval, _plain(" ".join(numbers))
