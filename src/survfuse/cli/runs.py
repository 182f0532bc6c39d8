"""Verbs about models: crossval, train, predict, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli.options import CohortFile, ConfigFile, OutFolder, Overrides, PresetName, Quiet, run_config


def crossval(
    cohort: CohortFile,
    out: OutFolder,
    config: ConfigFile = None,
    preset: PresetName = None,
    overrides: Overrides = None,
    folds: Annotated[int | None, typer.Option(help="Outer folds.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Independent splits into folds.")] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called in tables.")] = None,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a model and its baselines on the same folds, and report.

    Writes predictions.csv, comparators.csv, metrics.json, checks.json, config.yaml,
    run.json and report.html. A killed run goes on where it was when called again.
    """
    from survfuse.cli.progress import watch
    from survfuse.cohort import load_cohort
    from survfuse.evaluation.crossval import run

    extra = [
        f"crossval.{key}={value}"
        for key, value in (("folds", folds), ("repeats", repeats))
        if value is not None
    ]
    settings = run_config(config, preset, [*(overrides or []), *extra])
    data = load_cohort(cohort)
    tell_problems(data)
    with watch(quiet) as watcher:
        result = run(settings, data, out=out, watcher=watcher, name=name, command=_command())
    page = result.report()
    show_metrics(result)
    typer.echo(f"report: {page}")


def train(
    cohort: CohortFile,
    out: OutFolder,
    config: ConfigFile = None,
    preset: PresetName = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Train on every patient with an outcome and save a bundle that `predict` reads."""
    from survfuse.bundle import check_target
    from survfuse.cli.progress import watch
    from survfuse.cohort import load_cohort
    from survfuse.estimator import SurvivalFusion

    check_target(out)
    settings = run_config(config, preset, overrides)
    data = load_cohort(cohort)
    tell_problems(data)
    model = SurvivalFusion.from_config(settings.model)
    with watch(quiet) as watcher:
        model.fit(data, hooks=[watcher], checkpoints=out.parent / f".{out.name}.checkpoints")
    place = model.save(out)
    summary = model.fitted.summary if model.fitted is not None else {}
    typer.echo(
        f"trained on {summary['patients']} patients, {summary['events']} events; epochs {summary['epochs']}"
    )
    for note in summary["transform_notes"]:
        typer.echo(f"note: {note}")
    typer.echo(f"bundle: {place}")


def predict(
    bundle: Annotated[Path, typer.Argument(help="Bundle that `train` wrote.", show_default=False)],
    cohort: CohortFile,
    out: Annotated[Path, typer.Option("-o", "--out", help="Predictions (CSV); notes go beside it as JSON.")],
    horizons: Annotated[
        list[float] | None, typer.Option("--horizon", help="Time of a survival column.")
    ] = None,
) -> None:
    """Predict the patients of a cohort with a trained bundle; no outcome is needed."""
    from survfuse._errors import ConfigError
    from survfuse._storage import write_json
    from survfuse.cohort import load_cohort
    from survfuse.estimator import SurvivalFusion
    from survfuse.evaluation.crossval import default_horizons
    from survfuse.evaluation.result import write_table

    if out.suffix == ".json":
        raise ConfigError(f"-o {out}: the notes go there; end the name of the predictions in .csv")
    model = SurvivalFusion.load(bundle)
    assert model.fitted is not None
    summary: dict[str, Any] = dict(model.fitted.summary)
    data = load_cohort(cohort, need_outcome=False)
    tell_problems(data)
    prediction = model.predict(data)
    times = tuple(horizons or default_horizons(summary["unit"], summary["longest_time"]))
    write_table(out, prediction.frame(times))
    notes = [{"patient_id": patient, "message": message} for patient, message in prediction.notes]
    record = {
        "bundle": bundle,
        "unit": prediction.unit,
        "patients": len(prediction.patient_id),
        "notes": notes,
    }
    write_json(out.with_suffix(".json"), {**record, "trained_on": summary})
    for note in notes:
        typer.echo(f"note: {note['patient_id'] or 'all'}: {note['message']}", err=True)
    typer.echo(f"{len(prediction.patient_id)} patients predicted (times in {prediction.unit}): {out}")


def report(
    out: Annotated[Path, typer.Argument(help="Folder that `crossval` wrote.", show_default=False)],
) -> None:
    """Draw the report page of a run again from its files."""
    from survfuse.report import write_report

    typer.echo(f"report: {write_report(out)}")


def tell_problems(cohort: Any) -> None:
    """Print the warnings that loading a cohort gave."""
    for problem in cohort.problems:
        typer.echo(f"{problem.severity}: {problem}", err=True)


def show_metrics(result: Any) -> None:
    """Print the table of models with their intervals."""
    from rich.console import Console
    from rich.table import Table

    cohort = result.cohort
    table = Table(
        title=f"{cohort['endpoint']}: {cohort['patients']} patients, {cohort['events']} events, same folds",
        title_justify="left",
    )
    for column in (
        "model",
        f"Uno C (to {cohort['tau']:g} {cohort['unit']})",
        "Harrell C",
        "Uno C minus clinical",
    ):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    for name, metrics in result.estimates.items():
        cells = [metrics.get(each) for each in ("uno_c", "harrell_c", "delta_uno_c_vs_clinical")]
        table.add_row(name, *(_told(cell, signed=i == 2) for i, cell in enumerate(cells)))
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    for check in result.checks:
        if check["status"] in {"warning", "failed"}:
            typer.echo(f"{check['id']} {check['status']}: {check['name']} {check['evidence']}")


def _told(estimate: Any, *, signed: bool) -> str:
    if estimate is None:
        return ""
    if estimate.value is None:
        return "not computable"
    sign = "+" if signed else ""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _command() -> str:
    return " ".join(["survfuse", *sys.argv[1:]])
