"""How a model fares where something is missing, beside the same model on the same patients as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.cohort.cohort import Cohort
from survfuse.evaluation.assessment import isbs
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.comparisons import delta_isbs, delta_uno_c
from survfuse.evaluation.fold_calibration import expected_events, slope
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.missing_inputs import Losses, nothing_left
from survfuse.evaluation.ranking import concordance
from survfuse.evaluation.training_variance import chance_share
from survfuse.survival.estimate import Estimate

INTACT = "intact"
METRICS = ("uno_c", "isbs", "calibration_slope", "observed_expected")
Estimates = dict[str, dict[str, Estimate]]


def scored(
    models: Mapping[str, Sequence[Fold]],
    losses: Losses,
    scale: Scale,
) -> Estimates:
    """Ranking, error and calibration of the model under each loss, with intervals.

    Parameters
    ----------
    models : mapping of name to folds
        Of every loss's `name` among others.
    losses : Losses
    scale : Scale
    """
    found: Estimates = {}
    for name in losses.names:
        folds = models[name]
        chance = chance_share(folds)
        found[name] = {
            "uno_c": concordance(
                folds,
                "uno",
                scale.tau,
                interval=scale.interval,
                chance=chance,
            ),
            "isbs": isbs(folds, scale, chance),
            "calibration_slope": slope(folds, scale.horizons[-1]),
            "observed_expected": expected_events(folds),
        }
    return found


def robustness(
    models: Mapping[str, Sequence[Fold]],
    name: str,
    estimates: Mapping[str, Mapping[str, Estimate]],
    losses: Losses,
    cohort: Cohort,
    used: Sequence[str],
    scale: Scale,
    seed: int,
) -> dict[str, Any]:
    """Tabulate the model as it is and under each loss, with the paired differences.

    Parameters
    ----------
    models : mapping of name to folds
        The model's own, and those under each loss.
    name : str
        The model.
    estimates : mapping of model to mapping of metric to Estimate
        Of the same models.
    losses : Losses
    cohort : Cohort
        Of the patients predicted.
    used : sequence of str
        Modalities that the model reads.
    scale : Scale
    seed : int
        Of the model, which decides what values are lost.

    Returns
    -------
    dict
        `rows`: list of dict `model, kind, what, nothing_left, metric` and the estimate, where the
        metrics ``delta_uno_c`` and ``delta_isbs`` are under the loss minus as it is, and
        `nothing_left` counts patients without any modality left; `left_out`: what was not tried, and why.
    """
    tested = sorted(
        {str(patient) for fold in models[name] for patient in fold.patient_id},
    )
    own = cohort.subset(tested)
    rows = _rows(
        name,
        INTACT,
        "",
        0,
        {metric: estimates[name][metric] for metric in METRICS},
    )
    for loss in losses.each:
        folds = models[loss.name]
        found = {
            **{metric: estimates[loss.name][metric] for metric in METRICS},
            "delta_uno_c": delta_uno_c(folds, models[name], scale),
            "delta_isbs": delta_isbs(folds, models[name], scale),
        }
        rows += _rows(
            loss.name,
            loss.kind,
            loss.what,
            nothing_left(loss, own, used, seed),
            found,
        )
    return {"rows": rows, "left_out": list(losses.left_out)}


def _rows(
    model: str,
    kind: str,
    what: str,
    bare: int,
    found: Mapping[str, Estimate],
) -> list[dict[str, Any]]:
    place = {"model": model, "kind": kind, "what": what, "nothing_left": bare}
    return [
        {
            **place,
            "metric": metric,
            **{
                key: getattr(e, key)
                for key in ("value", "low", "high", "se", "n", "events", "note")
            },
        }
        for metric, e in found.items()
    ]
