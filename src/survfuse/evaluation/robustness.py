"""The model with some inputs missing, compared with the same model on the same patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from survfuse.cohort.cohort import Cohort
from survfuse.evaluation.assessment import isbs
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.cells import Grid
from survfuse.evaluation.comparisons import delta_isbs, delta_uno_c
from survfuse.evaluation.crossval_plan import CrossvalPlan
from survfuse.evaluation.fold_calibration import expected_events, slope
from survfuse.evaluation.folds import Fold
from survfuse.evaluation.missing_inputs import Losses, nothing_left
from survfuse.evaluation.ranking import concordance
from survfuse.evaluation.training_variance import chance_share
from survfuse.figures.formatting import INTACT
from survfuse.results.schema import EstimateRecord, Robustness
from survfuse.survival.estimate import Estimate

METRICS = ("uno_c", "isbs", "calibration_slope", "observed_expected")
Estimates = dict[str, dict[str, Estimate]]
FIELDS = [*EstimateRecord.__annotations__]


def with_losses(
    plan: CrossvalPlan,
    grid: Grid,
    estimates: Estimates,
    tested: Cohort,
) -> tuple[Estimates, Robustness | None]:
    """Metrics of the model under each loss and their table; nothing where it is switched off."""
    if not plan.config.crossval.robustness:
        return {}, None
    losses = Losses.on(tested, plan.used)
    scores = scored(grid.folds, losses, plan.scale)
    table = robustness(
        grid.folds,
        plan.candidates[0].name,
        {**estimates, **scores},
        losses,
        tested,
        plan.used,
        plan.scale,
        plan.config.model.training.seed,
    )
    return scores, table


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
    estimates: Estimates = {}
    for name in losses.names:
        folds = models[name]
        chance = chance_share(folds)
        options: dict[str, Any] = {"interval": scale.interval, "chance": chance}
        estimates[name] = {
            "uno_c": concordance(folds, "uno", scale.tau, **options),
            "isbs": isbs(folds, scale, chance),
            "calibration_slope": slope(folds, scale.horizons[-1]),
            "observed_expected": expected_events(folds),
        }
    return estimates


def robustness(
    models: Mapping[str, Sequence[Fold]],
    name: str,
    estimates: Mapping[str, Mapping[str, Estimate]],
    losses: Losses,
    cohort: Cohort,
    used: Sequence[str],
    scale: Scale,
    seed: int,
) -> Robustness:
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
    Robustness
        The metrics ``delta_uno_c`` and ``delta_isbs`` are under the loss minus as it is;
        `nothing_left` counts patients without any modality left.
    """
    patients: set[str] = set()
    for fold in models[name]:
        patients.update(map(str, fold.patient_id))
    own = cohort.subset(sorted(patients))
    intact = {"model": name, "kind": INTACT, "what": "", "nothing_left": 0}
    rows = _rows(intact, {metric: estimates[name][metric] for metric in METRICS})
    for loss in losses.all:
        values_of = {metric: estimates[loss.name][metric] for metric in METRICS}
        for key, difference in (
            ("delta_uno_c", delta_uno_c),
            ("delta_isbs", delta_isbs),
        ):
            values_of[key] = difference(models[loss.name], models[name], scale)
        count = nothing_left(loss, own, used, seed)
        row = {
            "model": loss.name,
            "kind": loss.kind,
            "what": loss.what,
            "nothing_left": count,
        }
        rows += _rows(row, values_of)
    return {"rows": rows, "left_out": list(losses.left_out)}


def _rows(
    row: Mapping[str, Any],
    estimates: Mapping[str, Estimate],
) -> list[Any]:
    rows = []
    for metric, estimate in estimates.items():
        values = {key: getattr(estimate, key) for key in FIELDS}
        rows.append({**row, "metric": metric, **values})
    return rows
