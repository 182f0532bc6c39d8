"""The command that fits a model's calibration anew on other patients: recalibrate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from survfuse.cli.options import (
    BundleFolder,
    CohortFile,
    EndpointName,
    JsonFile,
    option,
    patients_of_file,
)

NAMES = {
    "calibration_slope": "calibration slope",
    "observed_expected": "observed / expected events",
}


def recalibrate(
    bundle: BundleFolder,
    cohort: CohortFile,
    out: Annotated[
        Path,
        option("A new folder for the recalibrated bundle.", "-o", "--out"),
    ],
    patients: Annotated[
        Path | None,
        option(
            "Text file with a calibration patient on each line; by default everyone with an "
            "outcome.",
            "--patients",
        ),
    ] = None,
    endpoint: EndpointName = None,
    force: Annotated[
        bool,
        option("Replace a bundle that is at -o; nothing else ever is.", "--force"),
    ] = False,
    json: JsonFile = None,
) -> None:
    """Fit slope and baseline hazard of a trained bundle anew, on patients of another hospital.

    What the model learned stays: log-risks and risk groups are the same, the curves fit the new
    patients. Patients that were trained on are refused. Says calibration slope and observed over
    expected events, before and after.
    """
    from survfuse._bundle_place import check_target
    from survfuse._storage import write_json

    _refuse_same(bundle, out)
    check_target(out, force=force)
    from survfuse.cli.output import print_problems
    from survfuse.cohort import load_cohort
    from survfuse.cohort.leakage import refuse_leaks
    from survfuse.estimator import SurvivalFusion

    ids = None if patients is None else patients_of_file(patients)
    model = SurvivalFusion.load(bundle)
    allowed = model.config.inputs.allow_followup
    data = load_cohort(cohort, allow_followup=allowed, endpoint=endpoint)
    print_problems(data)
    refuse_leaks(data, allowed, str(cohort))
    new = model.recalibrate(data, ids)
    record = {"bundle": bundle, "new_bundle": out, **_record(model, new, data, ids)}
    new.save(out, force=force)
    if json is not None:
        write_json(json, record)
    _print(record)
    typer.echo(f"bundle: {out}")


def _refuse_same(bundle: Path, out: Path) -> None:
    """Refuse to replace the bundle that is recalibrated."""
    from survfuse._errors import ConfigError

    if out.exists() and bundle.exists() and out.samefile(bundle):
        raise ConfigError(
            f"-o {out}: is the bundle itself, whose calibration would be lost; give another folder",
        )


def _record(
    model: Any,
    new: Any,
    cohort: Any,
    ids: list[str] | None,
) -> dict[str, Any]:
    """What was recalibrated on whom, and what came out."""
    from dataclasses import asdict

    from survfuse.estimators import outcomes
    from survfuse.evaluation.calibration_change import calibration_change
    from survfuse.evaluation.default_horizons import model_horizons
    from survfuse.recalibration import calibration_patients

    chosen = calibration_patients(model.need_fitted(), cohort, ids)
    before = model.predict(cohort, chosen)
    after = new.need_fitted().prediction(chosen, before.log_risk)
    horizon = model_horizons(model.need_fitted().summary)[-1]
    changes = calibration_change(before, after, *outcomes(cohort, chosen), horizon)
    summary: Mapping[str, Any] = new.need_fitted().summary
    note = summary["calibration_note"]
    return {
        **summary["calibration_cohort"],
        "unit": summary["unit"],
        "horizon": horizon,
        **{name: asdict(change) for name, change in changes.items()},
        "notes": [note] if note else [],
    }


def _print(record: Mapping[str, Any]) -> None:
    """Say on how many events the calibration rests, and how slope and O/E changed."""
    from survfuse.cli.output import print_table
    from survfuse.evaluation.calibration_change import IN_SAMPLE
    from survfuse.survival.estimate import Estimate

    typer.echo(
        f"recalibrated on {record['patients']} patients, {record['events']} events of "
        f"{record['cohort']}",
    )
    rows, notes = [], []
    for key, name in NAMES.items():
        before, after = (Estimate(**record[key][when]) for when in ("before", "after"))
        rows.append([name, _cell(before), _cell(after)])
        if before.note:
            notes.append(f"{name}, before: {before.note}")
    print_table(
        "Calibration (1 is right), with 95 % intervals",
        ["", "before", "after, in sample"],
        rows,
        text_columns={""},
        width=100,
    )
    for note in [*notes, f"after: {IN_SAMPLE}", *record["notes"]]:
        typer.echo(f"note: {note}")


def _cell(estimate: Any) -> str:
    """Value and interval."""
    from survfuse.survival.estimate import rounded

    if estimate.value is None:
        return "not computable"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{rounded(estimate.low)}, {rounded(estimate.high)}]"
