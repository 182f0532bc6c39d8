"""Verbs about models: crossval, train, predict, report."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli.options import (
    CohortFile,
    ConfigFile,
    ExecutorName,
    OutFolder,
    Overrides,
    PresetName,
    Quiet,
    RayAddress,
    Threads,
    Workers,
    run_config,
)

PREDICTED = b"patient_id,log_risk,predicted_time"  # how a file of predictions begins
MOST_NOTES = 20  # printed by predict; all are in its JSON


def crossval(
    cohort: CohortFile,
    out: OutFolder,
    config: ConfigFile = None,
    preset: PresetName = None,
    overrides: Overrides = None,
    folds: Annotated[int | None, typer.Option(help="Outer folds.")] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="Independent splits into folds."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="patients, whole_sites or leave_one_site_out."),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option(help="Fixed splits of CLAM, MMP, MCAT, Patho-Bench or STAMP."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            help="Another cohort file: every model is also fitted on all and tested there.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What the model is called in tables."),
    ] = None,
    executor: ExecutorName = "inline",
    workers: Workers = None,
    threads: Threads = None,
    address: RayAddress = None,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a model and its baselines on the same folds, and report.

    Writes predictions.csv, comparators.csv, metrics.json, performance.json, checks.json,
    config.yaml, run.json and report.html. A killed run goes on where it was when called again.
    """
    from survfuse._places import refuse_held
    from survfuse.cli.progress import watch
    from survfuse.cohort import load_cohort
    from survfuse.evaluation.crossval import run
    from survfuse.evaluation.result import try_run_folder
    from survfuse.executors import make_executor
    from survfuse.report import try_page

    refuse_held(try_run_folder(out))
    try_page(out)
    carrier = make_executor(executor, workers=workers, threads=threads, address=address)
    extra = [
        f"crossval.{key}={value}"
        for key, value in (
            ("folds", folds),
            ("repeats", repeats),
            ("split", split),
            ("splits_file", None if splits is None else splits.absolute()),
        )
        if value is not None
    ]
    settings = run_config(config, preset, [*(overrides or []), *extra])
    allowed = settings.model.allow_followup
    data = load_cohort(cohort, allow_followup=allowed)
    tell_problems(data)
    other = None if test is None else load_cohort(test, allow_followup=allowed)
    if other is not None:
        tell_problems(other)
    with watch(quiet) as watcher:
        result = run(
            settings,
            data,
            test=other,
            out=out,
            watcher=watcher,
            name=name,
            executor=carrier,
            command=_command(),
        )
    page = result.report()
    show_metrics(result)
    typer.echo(f"report: {page}")


def train(
    cohort: CohortFile,
    out: OutFolder,
    config: ConfigFile = None,
    preset: PresetName = None,
    overrides: Overrides = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Cohort file of other patients, on which slope and baseline hazard are fitted.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a bundle that is there already; nothing else ever is.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train on every patient with an outcome and save a bundle that `predict` reads.

    The place of the bundle is tested first, so that no training is lost to it.

    Started by torchrun, the processes share every training step: see docs/training.md.
    """
    from survfuse.bundle import check_target
    from survfuse.cli.progress import watch
    from survfuse.cohort import load_cohort
    from survfuse.estimator import SurvivalFusion
    from survfuse.evaluation.checks import later_knowledge, refuse_later_knowledge
    from survfuse.training import ranks_of_launcher

    check_target(out, force=force)
    settings = run_config(config, preset, overrides)
    with ranks_of_launcher(settings.model.device) as ranks:
        with ranks.first():
            allowed = settings.model.allow_followup
            data = load_cohort(cohort, allow_followup=allowed)
            others = (
                None
                if calibrate is None
                else _calibration_cohort(calibrate, data, allowed)
            )
        for loaded in (data, others) if ranks.writes else ():
            tell_problems(loaded)
        refuse_later_knowledge(data, settings.model)
        doubt = later_knowledge(data, settings.model)
        if doubt and ranks.writes:
            typer.echo(doubt, err=True)
        model = SurvivalFusion.from_config(settings.model)
        with watch(quiet or not ranks.writes) as watcher:
            model.fit(
                data,
                hooks=[watcher],
                checkpoints=out.parent / f".{out.name}.checkpoints",
            )
    if ranks.writes:
        _keep(model if others is None else model.recalibrate(others), out, force)


def _save(model: Any, out: Path, force: bool) -> Path:
    """Save a fitted model; elsewhere, and with an error that says where, when its place is gone by now."""
    from survfuse._errors import BundleError, PartialError

    try:
        return Path(model.save(out, force=force))
    except (BundleError, OSError) as error:
        place = _save_elsewhere(model, out.name, error)
        raise PartialError(
            f"{error}; the trained model is kept in {place}: move it",
        ) from error


def _save_elsewhere(model: Any, name: str, why: Exception) -> Path:
    """Save a fitted model among temporary files; when they have no room either, say that it is lost."""
    from survfuse._errors import BundleError

    spare = None
    try:
        spare = Path(tempfile.mkdtemp(prefix="survfuse-"))
        return Path(model.save(spare / name))
    except (BundleError, OSError) as error:
        if spare is not None:
            shutil.rmtree(spare, ignore_errors=True)
        raise BundleError(
            f"{why}; there is no room for the trained model in {tempfile.gettempdir()} either ({error}), so "
            "it is lost: free some space and train again",
        ) from error


def _keep(model: Any, out: Path, force: bool) -> None:
    """Save a fitted model and say what it is made of."""
    from survfuse.fit_summary import describe_size
    from survfuse.tuning.search import describe_search

    place, summary = _save(model, out, force), model.fitted.summary
    typer.echo(
        f"trained on {summary['patients']} patients, {summary['events']} events; {_found(summary)}",
    )
    about = summary.get("calibration_cohort")
    if about is not None:
        typer.echo(
            f"calibrated on {about['patients']} patients, {about['events']} events of {about['cohort']}",
        )
    typer.echo(describe_size(summary))
    if "search" in summary:
        typer.echo(describe_search(summary["search"]))
    for note in [summary["calibration_note"], *summary["transform_notes"]]:
        if note:
            typer.echo(f"note: {note}")
    bound = model.fitted.bound
    if bound is not None:
        low, high = bound.coverage
        typer.echo(
            f"lower bound for {bound.level:.0%}: with these {bound.patients} calibration patients, between "
            f"{low:.0%} and {high:.0%} of patients to come outlive theirs",
        )
    typer.echo(f"bundle: {place}")


def _found(summary: Mapping[str, Any]) -> str:
    if "anchored" not in summary:
        return f"epochs {summary['epochs']}"
    return "trust " + ", ".join(
        f"{name} {value:.2f}" for name, value in summary["anchored"]["trust"].items()
    )


def _calibration_cohort(path: Path, data: Any, allowed: tuple[str, ...]) -> Any:
    """Load the calibration cohort and refuse, before any training, what cannot be calibrated on."""
    from survfuse.cohort import load_cohort
    from survfuse.cohort.patient_hashes import PatientHashes
    from survfuse.recalibration import other_patients

    others = load_cohort(path, allow_followup=allowed)
    other_patients(PatientHashes.of(data.patients, ""), data.unit, others)
    return others


def predict(
    bundle: Annotated[
        Path,
        typer.Argument(help="Bundle that `train` wrote.", show_default=False),
    ],
    cohort: CohortFile,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="Predictions (CSV); notes go beside it as JSON.",
        ),
    ],
    horizons: Annotated[
        list[float] | None,
        typer.Option("--horizon", help="Time of a survival column. Repeatable."),
    ] = None,
) -> None:
    """Predict the patients of a cohort with a trained bundle; no outcome is needed."""
    from survfuse._storage import write_json
    from survfuse.cohort import load_cohort
    from survfuse.estimator import SurvivalFusion
    from survfuse.evaluation.default_horizons import default_horizons
    from survfuse.evaluation.result import write_table

    _check_place_of_predictions(out)
    model = SurvivalFusion.load(bundle)
    assert model.fitted is not None
    summary: dict[str, Any] = dict(model.fitted.summary)
    allowed = model.fitted.config.allow_followup
    data = load_cohort(cohort, need_outcome=False, allow_followup=allowed)
    tell_problems(data)
    prediction = model.predict(data)
    longest = summary.get("calibration_cohort", summary)["longest_time"]
    times = tuple(horizons or default_horizons(summary["unit"], longest))
    write_table(out, prediction.frame(times, details=True))
    notes = [
        {"patient_id": patient, "message": message}
        for patient, message in prediction.notes
    ]
    record = {
        "bundle": bundle,
        "unit": prediction.unit,
        "patients": len(prediction.patient_id),
        "in_training": None
        if prediction.in_training is None
        else int(prediction.in_training.sum()),
        "notes": notes,
    }
    write_json(out.with_suffix(".json"), {**record, "trained_on": summary})
    for note in notes[:MOST_NOTES]:
        typer.echo(f"note: {note['patient_id'] or 'all'}: {note['message']}", err=True)
    if len(notes) > MOST_NOTES:
        typer.echo(
            f"note: {len(notes) - MOST_NOTES} more in {out.with_suffix('.json')}",
            err=True,
        )
    typer.echo(
        f"{len(prediction.patient_id)} patients predicted (times in {prediction.unit}): {out}",
    )


def _check_place_of_predictions(out: Path) -> None:
    """Refuse to write over anything but earlier predictions and their notes."""
    from survfuse._errors import ConfigError, InputError
    from survfuse._places import try_file
    from survfuse._storage import read_json

    if out.is_dir():
        raise ConfigError(f"-o {out}: is a folder; give the name of a CSV file in it")
    try_file(out)
    notes = try_file(out.with_suffix(".json"))
    if out == notes:
        raise ConfigError(
            f"-o {out}: the notes go there; end the name of the predictions in .csv",
        )
    if out.exists():
        with out.open("rb") as file:
            if file.read(len(PREDICTED)) != PREDICTED:
                raise ConfigError(
                    f"-o {out}: a file that holds no predictions is there; choose another name",
                )
    if notes.exists():
        try:
            ours = {"bundle", "trained_on"} <= set(read_json(notes))
        except (InputError, TypeError):
            ours = False
        if not ours:
            raise ConfigError(
                f"-o {out}: its notes would replace {notes}, which holds none; choose another name",
            )


def report(
    out: Annotated[
        Path,
        typer.Argument(help="Folder that `crossval` wrote.", show_default=False),
    ],
) -> None:
    """Draw the report page of a run again from its files."""
    from survfuse.report import write_report

    typer.echo(f"report: {write_report(out)}")


def tell_problems(cohort: Any) -> None:
    """Print the warnings that loading a cohort gave."""
    from survfuse._errors import printable

    for problem in [] if cohort is None else cohort.problems:
        typer.echo(printable(f"{problem.severity}: {problem}"), err=True)


def show_metrics(result: Any) -> None:
    """Print the models with their intervals, and what each modality adds."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cohort = result.cohort
    console = Console(width=None if sys.stdout.isatty() else 132)
    title = (
        f"{cohort['endpoint']}: {cohort['patients']} patients, {cohort['events']} events, same folds; "
        f"Uno C to {cohort['tau']:g} {cohort['unit']}"
    )
    table = Table(title=Text(title), title_justify="left")
    heads = ("model", "Uno C", "ISBS", "O/E", "Uno C minus clinical")
    for column in heads:
        table.add_column(
            column,
            justify="left" if column == "model" else "right",
            no_wrap=True,
        )
    sweep = result.performance.get("robustness") or {"rows": []}
    under_loss = {row["model"] for row in sweep["rows"]} - {result.name}
    for name, metrics in result.estimates.items():
        if name.startswith("permuted:") or name in under_loss:
            continue  # told by what each modality adds, and by the report
        keys = ("uno_c", "isbs", "observed_expected", "delta_uno_c_vs_clinical")
        table.add_row(
            Text(name),
            *(_told(metrics.get(key), signed=key.startswith("delta")) for key in keys),
        )
    console.print(table)
    rows = result.performance.get("increment") or []
    if rows:
        console.print(_increments(rows))
    outside = result.performance.get("external")
    if outside is not None:
        console.print(_external(outside, result.name, result.record["clinical"]))
    for check in result.checks:
        if check["status"] in {"warning", "failed"}:
            typer.echo(
                f"{check['id']} {check['status']}: {check['evidence']}. {check['advice']}",
            )


def _external(outside: Any, name: str, clinical: str | None) -> Any:
    from rich.table import Table
    from rich.text import Text

    from survfuse.survival.estimate import Estimate

    about = outside["cohort"]
    title = f"Fitted on everyone, tested on {about['name']}: "
    title += f"{about['patients']} patients, {about['events']} events"
    table = Table(title=Text(title), title_justify="left")
    for column in ("model", "Uno C", "ISBS", "O/E"):
        table.add_column(
            column,
            justify="left" if column == "model" else "right",
            no_wrap=True,
        )
    for model in (name, clinical or ""):
        if model in outside["metrics"]:
            found = outside["metrics"][model]
            keys = ("uno_c", "isbs", "observed_expected")
            table.add_row(
                Text(model),
                *(_told(Estimate(**found[key]), signed=False) for key in keys),
            )
    return table


def _increments(rows: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    from survfuse.survival.estimate import Estimate

    table = Table(
        title="What does each modality add? With it minus without it",
        title_justify="left",
    )
    for column in ("modality", "models", "Uno C", "p (Holm)", "ISBS (less is better)"):
        table.add_column(
            column,
            justify="left" if column in {"modality", "models"} else "right",
            no_wrap=True,
        )
    for row in rows:
        p = "" if row["p_holm"] is None else f"{row['p_holm']:.3f}"
        gain, error = Estimate(**row["delta_uno_c"]), Estimate(**row["delta_isbs"])
        table.add_row(
            Text(row["modality"]),
            row["kind"],
            _told(gain, signed=True),
            p,
            _told(error, signed=True),
        )
    return table


def _told(estimate: Any, *, signed: bool) -> str:
    from survfuse.survival.estimate import rounded

    if estimate is None:
        return ""
    if estimate.value is None:
        return "not computable"
    value = rounded(estimate.value, signed=signed)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} [{rounded(estimate.low, signed=signed)}, {rounded(estimate.high, signed=signed)}]"


def _command() -> str:
    return " ".join(["survfuse", *sys.argv[1:]])
