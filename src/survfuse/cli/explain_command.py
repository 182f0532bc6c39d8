"""The command that explains predictions: explain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli.explain_progress import table_progress
from survfuse.cli.map_options import (
    MapFormats,
    Maps,
    OriginName,
    Scores,
    map_options,
    print_maps,
)
from survfuse.cli.options import (
    BundleFolder,
    CohortFile,
    EndpointName,
    OutFolder,
    Quiet,
    option,
    patients_of_file,
)

MOST_NOTES = 10  # printed; all are in the folder


def explain(
    bundle: BundleFolder,
    cohort: CohortFile,
    out: OutFolder,
    patients: Annotated[
        list[str] | None,
        option("Patient to explain; everyone by default. Repeatable.", metavar="ID"),
    ] = None,
    patients_file: Annotated[
        Path | None,
        option("Text file with a patient to explain on each line."),
    ] = None,
    horizons: Annotated[
        list[float] | None,
        option("Time of the percentage points. Repeatable.", "--horizon"),
    ] = None,
    reference: Annotated[
        Path | None,
        option(
            "Cohort file of the patients to compare with: the training patients, where the "
            "bundle does not hold what the model reads of them.",
        ),
    ] = None,
    halves: Annotated[
        int,
        option(
            "Pairs of half models to fit, which say whether another cohort would give the same; "
            "0: what the bundle knows of that. Needs the training cohort, with its outcome: "
            "--reference, or COHORT itself.",
            "--halves",
            min=0,
        ),
    ] = 0,
    endpoint: EndpointName = None,
    no_tiles: Annotated[
        bool,
        option("Leave out tiles.parquet, by far the largest table.", "--no-tiles"),
    ] = False,
    pages: Annotated[
        bool,
        option(
            "Also write a page for each patient, in the folder pages; slides that the cohort names "
            "are read for their pictures.",
            "--pages",
        ),
    ] = False,
    maps: Maps = False,
    map_formats: MapFormats = None,
    scores: Scores = None,
    origin: OriginName = "bounds",
    force: Annotated[
        bool,
        option(
            "Replace an explanation that is there already; nothing else ever is.",
            "--force",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Explain predictions of a bundle: terms that add up, columns, genes, tiles, agreement.

    Writes a folder of tables (CSV and Parquet), explanation.json, explanation.html and what else is
    asked for, which appears whole or not at all. No outcome is needed.
    """
    from survfuse._errors import PartialError, listed
    from survfuse._places import staged_folder
    from survfuse.results.explanation_folder import try_explanation_folder

    target = try_explanation_folder(out, force=force)
    from survfuse.cli.agreement_step import with_agreement_of
    from survfuse.cli.output import print_problems
    from survfuse.cohort import load_cohort
    from survfuse.cohort.damaged_slides import load_undamaged
    from survfuse.estimator import SurvivalFusion
    from survfuse.explanations import explain as explained_by
    from survfuse.report.explanation_page import write_page
    from survfuse.results.explanation_folder import write_record
    from survfuse.results.explanation_maps import write_maps
    from survfuse.results.explanation_tables import write_tables

    wanted = map_options(maps, map_formats, scores, origin)
    model = SurvivalFusion.load(bundle)
    allowed = model.config.inputs.allow_followup
    data, damaged = load_undamaged(cohort, allow_followup=allowed)
    print_problems(data)
    compared = None
    if reference is not None:
        compared = load_cohort(reference, need_outcome=False, allow_followup=allowed)
    if halves:
        trained_on = load_cohort(
            reference or cohort,
            allow_followup=allowed,
            endpoint=endpoint,
        )
        model = with_agreement_of(model, trained_on, halves, quiet=quiet)
    chosen = _patients(data, patients, patients_file)
    explanation = explained_by(model, data, chosen, reference=compared)
    times = _horizons(model, horizons)
    with staged_folder(target) as folder:
        with table_progress(quiet) as step:
            written = write_tables(
                explanation,
                folder,
                horizons=times,
                tiles=not no_tiles,
                step=step,
            )
            mapped = None
            if wanted is not None:
                mapped = write_maps(explanation, folder, wanted, step=step)
        source = "of the training cohort" if reference is None else f"of {reference}"
        record = _record(bundle, data.name, data.fingerprint(), explanation, source)
        record |= {
            "horizons": list(times),
            "tables": written.described(),
            "left_out": written.left_out,
            "notes": [*record["notes"], *written.notes],
            "damaged": damaged,
        }
        if mapped is not None:
            record["maps"] = mapped.described()
        if pages:
            record["pages"] = _write_pages(folder, explanation, record, horizons, quiet)
        write_page(folder, explanation, record)
        write_record(folder, record)
    _print(target, explanation, written.left_out)
    incomplete = _print_pages(target, record.get("pages"))
    if damaged:
        incomplete.append(
            f"{len(damaged)} patients of {cohort} are not explained: "
            f"{listed(damaged.values(), 3)}",
        )
    if mapped is not None:
        incomplete += print_maps(target, mapped)
    if incomplete:
        raise PartialError("; ".join(incomplete))


def _write_pages(
    folder: Path,
    explanation: Any,
    record: dict[str, Any],
    horizons: Sequence[float] | None,
    quiet: bool,
) -> dict[str, Any]:
    """Write a page for each patient; what was written."""
    from survfuse.report.patient_files import write_pages

    horizon = horizons[0] if horizons else None
    with table_progress(quiet) as step:
        return write_pages(folder, explanation, record, horizon=horizon, step=step)


def _print_pages(target: Path, pages: dict[str, Any] | None) -> list[str]:
    """Say where the pages are; what is incomplete."""
    from survfuse._errors import listed

    if pages is None:
        return []
    typer.echo(f"pages: {target / pages['index']}")
    failed = pages["failed"]
    if not failed:
        return []
    return [f"{len(failed)} patients have no page: {listed(failed.values(), 3)}"]


def _patients(
    cohort: Any,
    named: Sequence[str] | None,
    file: Path | None,
) -> list[str]:
    """Patients to explain, all of whom are in the cohort.

    Raises
    ------
    InputError
        For a patient who is not.
    """
    from survfuse._errors import InputError, listed

    chosen = list(named or ())
    if file is not None:
        chosen += patients_of_file(file)
    if not chosen:
        return list(cohort.patients)
    known = set(cohort.patients)
    if unknown := [patient for patient in chosen if patient not in known]:
        raise InputError(
            f"no such patient in {cohort.name} ({len(known)} patients): {listed(unknown)}",
        )
    return chosen


def _horizons(
    model: Any,
    given: Sequence[float] | None,
) -> tuple[float, ...]:
    """Times of the percentage points, as `predict` chooses them."""
    from survfuse.evaluation.default_horizons import model_horizons

    return tuple(given) if given else model_horizons(model.fitted.summary)


def _record(
    bundle: Path,
    cohort: str,
    fingerprint: str,
    explanation: Any,
    source: str,
) -> dict[str, Any]:
    """What was explained, by what, and how far it adds up."""
    from survfuse._storage import sha256_file
    from survfuse.evaluation.versions import versions

    explained = explanation.explained
    notes = list(explanation.notes)
    # What concerns everybody comes first.
    for patient, message in sorted(explanation.prediction.notes, key=_is_of_one):
        notes.append(f"{patient}: {message}" if patient else message)
    return {
        "versions": versions(),
        "command": " ".join(["survfuse", *sys.argv[1:]]),
        "bundle": {"path": bundle, "sha256": sha256_file(bundle / "bundle.json")},
        "cohort": cohort,
        "cohort_sha256": fingerprint,
        "unit": explanation.prediction.unit,
        "patients": len(explanation.patients),
        "reference": {"patients": explained.reference.patients, "from": source},
        "terms": list(explanation.terms),
        "exact": explained.parts.exact,
        "largest_difference": explanation.largest_difference,
        "notes": notes,
    }


def _is_of_one(note: tuple[str, str]) -> bool:
    return note[0] != ""


def _print(
    target: Path,
    explanation: Any,
    left_out: dict[str, str],
) -> None:
    """Say what was explained, and what could not be."""
    from survfuse.results.explanation_tables import NOT_ASKED, NOTHING

    count = len(explanation.patients)
    terms = ", ".join(name for name in explanation.terms if name != "constant")
    typer.echo(f"{count} patients explained by {terms or 'nothing but a constant'}")
    trained = explanation.prediction.in_training
    if trained is not None and trained.any():
        typer.echo(
            f"note: {trained.sum()} of {count} patients were trained on: their predictions are in "
            "sample",
            err=True,
        )
    typer.echo(
        "largest difference between the sum of the terms and the prediction: "
        f"{explanation.largest_difference:.1e}",
    )
    for note in explanation.notes[:MOST_NOTES]:
        typer.echo(f"note: {note}", err=True)
    for reason in dict.fromkeys(left_out.values()):
        if reason not in (NOT_ASKED, NOTHING):
            tables = [name for name, why in left_out.items() if why == reason]
            typer.echo(f"note: no {', '.join(tables)}: {reason}", err=True)
    typer.echo(f"explanation: {target / 'explanation.html'}")
