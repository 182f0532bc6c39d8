"""The command that predicts patients with a trained bundle: predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli.options import BundleFolder, CohortFile, option

MOST_NOTES = 20  # printed; all are in the JSON
START = b"patient_id,log_risk,predicted_time"
"""How a file of predictions begins, of this version and of older ones."""


def predict(
    bundle: BundleFolder,
    cohort: CohortFile,
    out: Annotated[
        Path,
        option("Predictions (CSV); notes go beside it as JSON.", "-o", "--out"),
    ],
    horizons: Annotated[
        list[float] | None,
        option("Time of a survival column. Repeatable.", "--horizon"),
    ] = None,
    force: Annotated[
        bool,
        option(
            "Replace predictions that are there already; nothing else ever is.",
            "--force",
        ),
    ] = False,
) -> None:
    """Predict the patients of a cohort with a trained bundle; no outcome is needed.

    Writes one row per patient: log_risk (larger is earlier), predicted_time and the interval in
    which 80 % of such patients have the event, survival at each horizon, the risk group, and
    whether the patient was trained on or is unlike the training patients.
    """
    from survfuse._storage import write_json

    notes_file = check_place(out, force=force)
    from survfuse.cli.output import print_problems
    from survfuse.cohort import load_cohort
    from survfuse.estimator import SurvivalFusion
    from survfuse.evaluation.default_horizons import model_horizons
    from survfuse.results.csv_files import write_table
    from survfuse.results.prediction_file import prediction_table

    model = SurvivalFusion.load(bundle)
    summary: dict[str, Any] = dict(model.need_fitted().summary)
    summary.pop("kaplan_meier", None)  # a curve for pages, long beside the rest
    data = load_cohort(
        cohort,
        need_outcome=False,
        allow_followup=model.config.inputs.allow_followup,
    )
    print_problems(data)
    prediction = model.predict(data)
    table = prediction_table(prediction, tuple(horizons or model_horizons(summary)))
    # The notes come first: where the predictions are, both are whole.
    write_json(notes_file, _record(bundle, prediction, summary))
    write_table(out, table)
    _print(prediction, out, notes_file)


def _record(
    bundle: Path,
    prediction: Any,
    summary: dict[str, Any],
) -> dict[str, Any]:
    """What was predicted by what, and everything that a reader must know of it."""
    notes = []
    for patient, message in prediction.notes:
        notes.append({"patient_id": patient, "message": message})
    in_training = prediction.in_training
    return {
        "bundle": bundle,
        "unit": prediction.unit,
        "patients": len(prediction.patient_id),
        "in_training": None if in_training is None else int(in_training.sum()),
        "notes": notes,
        "trained_on": summary,
    }


def _print(
    prediction: Any,
    out: Path,
    notes_file: Path,
) -> None:
    """Say how many were predicted, and the first notes."""
    for patient, message in prediction.notes[:MOST_NOTES]:
        typer.echo(f"note: {patient or 'all'}: {message}", err=True)
    more = len(prediction.notes) - MOST_NOTES
    if more > 0:
        typer.echo(f"note: {more} more in {notes_file}", err=True)
    trained = prediction.in_training
    about = f"times in {prediction.unit}"
    if trained is not None and trained.any():
        about += f"; {trained.sum()} were trained on: in sample, not to be scored"
    typer.echo(f"{len(prediction.patient_id)} patients predicted ({about}): {out}")


def check_place(out: Path, *, force: bool) -> Path:
    """Refuse, before any work, a place where no predictions may be written.

    Returns
    -------
    Path
        Of the notes.

    Raises
    ------
    ConfigError
        When something else is there, or predictions and `force` is not given.
    InputError
        When nothing can be written there.
    """
    from survfuse._errors import ConfigError
    from survfuse._places import try_file

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
            start = file.read(len(START))
        if start != START:
            raise ConfigError(
                f"-o {out}: a file that holds no predictions is there; choose another name",
            )
        if not force:
            raise ConfigError(
                f"-o {out}: predictions are there already; choose another name, or replace them "
                "with --force",
            )
    if notes.exists() and not _holds_notes(notes):
        raise ConfigError(
            f"-o {out}: its notes would replace {notes}, which holds none; choose another name",
        )
    return notes


def _holds_notes(file: Path) -> bool:
    """Whether a file holds notes of earlier predictions."""
    from survfuse._errors import InputError
    from survfuse._storage import read_json

    try:
        return {"bundle", "trained_on"} <= set(read_json(file))
    except (InputError, TypeError):
        return False
