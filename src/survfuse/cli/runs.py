"""Verbs about models: crossval, train, report."""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli import completions
from survfuse.cli.options import (
    CohortFile,
    ConfigFile,
    EndpointName,
    ExecutorName,
    Halves,
    OutFolder,
    Overrides,
    PresetName,
    Priors,
    Quiet,
    RayAddress,
    Threads,
    Workers,
    endpoint_in,
    option,
    run_config,
    whole_numbers,
)


def crossval(
    cohort: CohortFile,
    out: OutFolder,
    config: ConfigFile = None,
    preset: PresetName = None,
    overrides: Overrides = None,
    prior: Priors = None,
    endpoint: EndpointName = None,
    folds: Annotated[int | None, option("Outer folds.")] = None,
    repeats: Annotated[
        int | None,
        option("Independent splits into folds."),
    ] = None,
    split: Annotated[
        str | None,
        option(
            "patients, whole_sites or leave_one_site_out.",
            autocompletion=completions.one_of(completions.SPLITS),
        ),
    ] = None,
    splits: Annotated[
        Path | None,
        option("Fixed splits of CLAM, MMP, MCAT, Patho-Bench or STAMP."),
    ] = None,
    quick: Annotated[
        bool,
        option(
            "A first look: the model, the clinical baseline and the late fusion alone.",
            "--quick",
        ),
    ] = False,
    learning_curve: Annotated[
        bool,
        option("Also train on fewer patients, and draw the curve.", "--learning-curve"),
    ] = False,
    curve_sizes: Annotated[
        str | None,
        option("Training patients of the learning curve, such as 50,100,200."),
    ] = None,
    curve_repeats: Annotated[
        int | None,
        option("Subsamples of each size in each fold; 10 by default."),
    ] = None,
    test: Annotated[
        Path | None,
        option(
            "Another cohort file: every model is also fitted on all and tested there.",
        ),
    ] = None,
    halves: Halves = None,
    name: Annotated[
        str | None,
        option("What the model is called in tables."),
    ] = None,
    executor: ExecutorName = "inline",
    workers: Workers = None,
    threads: Threads = None,
    address: RayAddress = None,
    quiet: Quiet = False,
) -> None:
    """Cross-validate a model and its baselines on the same folds, and report.

    Writes predictions.csv, comparators.csv, metrics.json, performance.json, checks.json,
    config.yaml, run.json and report.html; characteristics.csv and clinical_hazards.csv; terms.csv
    and agreement.csv where they can be computed; and learning_curve.csv where one is asked for. A
    killed run goes on where it was when called again.
    """
    from survfuse._places import refuse_held
    from survfuse.results.folder import try_run_folder

    refuse_held(try_run_folder(out))
    from survfuse.cli.output import print_problems
    from survfuse.cli.progress import watch
    from survfuse.cli.result_tables import print_result
    from survfuse.cohort import load_cohort
    from survfuse.evaluation.crossval import run
    from survfuse.evaluation.crossval_plan import QUICK_NOTE
    from survfuse.executors import make_executor
    from survfuse.report import try_page

    try_page(out)
    carrier = make_executor(
        executor,
        workers=workers,
        threads=threads,
        address=address,
    )
    settings = run_config(
        config,
        preset,
        overrides,
        folds=folds,
        repeats=repeats,
        split=split,
        splits_file=None if splits is None else splits.absolute(),
        quick=quick or None,
        learning_curve=learning_curve or None,
        curve_sizes=whole_numbers("--curve-sizes", curve_sizes),
        curve_repeats=curve_repeats,
        halves=halves,
    )
    allowed = settings.model.inputs.allow_followup
    data = load_cohort(
        cohort,
        allow_followup=allowed,
        priors=prior or (),
        endpoint=endpoint,
    )
    print_problems(data)
    other = None
    if test is not None:
        other = load_cohort(
            test,
            allow_followup=allowed,
            endpoint=endpoint_in(test, endpoint),
        )
        print_problems(other)
    with watch(quiet) as watcher:
        result = run(
            settings,
            data,
            test=other,
            out=out,
            watcher=watcher,
            name=name,
            executor=carrier,
            command=" ".join(["survfuse", *sys.argv[1:]]),
        )
    page = result.report()
    print_result(result)
    if settings.crossval.quick:
        typer.echo(f"note: {QUICK_NOTE}")
    typer.echo(f"report: {page}")


def train(
    cohort: CohortFile,
    out: OutFolder,
    config: ConfigFile = None,
    preset: PresetName = None,
    overrides: Overrides = None,
    prior: Priors = None,
    endpoint: EndpointName = None,
    calibrate: Annotated[
        Path | None,
        option(
            "Cohort file of other patients, on which slope and baseline hazard are fitted.",
        ),
    ] = None,
    force: Annotated[
        bool,
        option(
            "Replace a bundle that is there already; nothing else ever is.",
            "--force",
        ),
    ] = False,
    halves: Halves = None,
    quiet: Quiet = False,
) -> None:
    """Train on every patient with an outcome and save a bundle that `predict` reads.

    The place of the bundle is tested first, so that no training is lost to it. Models of halves of
    the patients then say whether another cohort would give the same explanations (--halves).

    Started by torchrun, the processes share every training step: see docs/training.md.
    """
    from survfuse._bundle_place import check_target

    check_target(out, force=force)
    from survfuse._errors import NothingLearnedWarning
    from survfuse.cli.output import print_problems
    from survfuse.cli.progress import watch
    from survfuse.cohort import load_cohort
    from survfuse.cohort.leakage import refuse_leaks
    from survfuse.cohort.patient_hashes import PatientHashes
    from survfuse.estimator import SurvivalFusion
    from survfuse.evaluation.checks import later_knowledge, refuse_later_knowledge
    from survfuse.recalibration import other_patients
    from survfuse.training import ranks_of_launcher

    settings = run_config(config, preset, overrides)
    others = None
    with ranks_of_launcher(settings.model.training.device) as ranks:
        with ranks.first():
            allowed = settings.model.inputs.allow_followup
            data = load_cohort(
                cohort,
                allow_followup=allowed,
                priors=prior or (),
                endpoint=endpoint,
            )
            if calibrate is not None:
                others = load_cohort(
                    calibrate,
                    allow_followup=allowed,
                    endpoint=endpoint_in(calibrate, endpoint),
                )
                others = others.with_priors_of(data)
                refuse_leaks(others, allowed, str(calibrate))
                # What cannot be calibrated on is refused before any training.
                other_patients(
                    PatientHashes.of(data.patients, ""),
                    str(data.unit),
                    others,
                )
        refuse_later_knowledge(data, settings.model)
        if ranks.writes:
            print_problems(data)
            if others is not None:
                print_problems(others)
            doubt = later_knowledge(data, settings.model)
            if doubt:
                typer.echo(doubt, err=True)
        model = SurvivalFusion.from_config(settings.model)
        with watch(quiet or not ranks.writes) as watcher:
            checkpoints = out.parent / f".{out.name}.checkpoints"
            warnings.simplefilter("ignore", NothingLearnedWarning)  # said below
            model.fit(
                data,
                hooks=[watcher],
                checkpoints=checkpoints,
                progress=False,
            )
    if ranks.writes:
        if others is not None:
            model = model.recalibrate(others)
        place = _save(model, out, force)
        _print_fit(model)
        if ranks.count == 1:
            _add_agreement(model, data, halves, place, quiet)
        else:
            typer.echo(
                "agreement of its explanations: not measured by several processes"
            )
        typer.echo(f"bundle: {place}")


def _add_agreement(
    model: Any,
    cohort: Any,
    halves: int | None,
    place: Path,
    quiet: bool,
) -> None:
    """Measure the agreement of a model that is saved, and save it again with that."""
    from survfuse.cli.agreement_step import halves_of, with_agreement_of

    pairs = halves_of(model, halves)
    if pairs:
        measured = with_agreement_of(model, cohort, pairs, quiet=quiet)
        measured.save(place, force=True)


def _save(
    model: Any,
    out: Path,
    force: bool,
) -> Path:
    """Save a fitted model; among temporary files when its place is gone by now, with an error."""
    from survfuse._errors import BundleError, PartialError

    spare = None
    try:
        return Path(model.save(out, force=force))
    except (BundleError, OSError) as first:
        try:
            spare = Path(tempfile.mkdtemp(prefix="survfuse-"))
            place = model.save(spare / out.name)
        except (BundleError, OSError) as second:
            if spare is not None:
                shutil.rmtree(spare, ignore_errors=True)
            raise BundleError(
                f"{first}; there is no room for the trained model in {tempfile.gettempdir()} "
                f"either ({second}), so it is lost: free some space and train again",
            ) from second
        raise PartialError(
            f"{first}; the trained model is kept in {place}: move it",
        ) from first


def _print_fit(model: Any) -> None:
    """Say what a fitted model was trained on and what came out."""
    from survfuse.cli.result_tables import print_weights
    from survfuse.fit_summary import describe_size, nothing_learned, weights_of
    from survfuse.results.prior_texts import prior_sentences
    from survfuse.results.term_weights import over_fits, weight_table
    from survfuse.tuning.search import describe_search

    summary = model.fitted.summary
    trained = f"trained on {summary['patients']} patients, {summary['events']} events"
    rows = []
    for term, record in weights_of(summary).items():
        rows.append({"repeat": 0, "fold": 0, "term": term, **record})
    if rows:
        typer.echo(trained)
        weights = weight_table(rows)
        print_weights(weights)
        for sentence in prior_sentences(summary.get("priors"), over_fits(weights)):
            typer.echo(sentence)
    else:
        typer.echo(f"{trained}; epochs {summary['epochs']}")
    about = summary.get("calibration_cohort")
    if about is not None:
        typer.echo(
            f"calibrated on {about['patients']} patients, {about['events']} events of "
            f"{about['cohort']}",
        )
    typer.echo(describe_size(summary))
    nothing = nothing_learned(summary)
    if nothing:
        typer.secho("warning: ", fg="yellow", nl=False)
        typer.echo(nothing)
    if "search" in summary:
        typer.echo(describe_search(summary["search"]))
    for note in [summary["calibration_note"], *summary["transform_notes"]]:
        if note:
            typer.echo(f"note: {note}")
    bound = model.fitted.bound
    if bound is not None:
        low, high = bound.coverage
        typer.echo(
            f"lower bound for {bound.level:.0%}: with these {bound.patients} calibration patients, "
            f"between {low:.0%} and {high:.0%} of patients to come outlive theirs",
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
