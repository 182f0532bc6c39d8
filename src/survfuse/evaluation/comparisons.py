"""Differences between models, and what each modality adds, paired by patient and fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import difference, holm
from survfuse.evaluation.curve_errors import ISBS
from survfuse.evaluation.folds import Fold, patients_of
from survfuse.evaluation.metric_registry import Metric
from survfuse.evaluation.ranking import UNO_C
from survfuse.survival.estimate import Basis, Estimate

Models = Mapping[str, Sequence[Fold]]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Increment:
    """A modality, and the two models that differ by it alone.

    Attributes
    ----------
    modality : str
    kind : str
        What sort of model it is, for people ("anchored", "network", "late fusion").
    with_it, without : str
        Names of the two models.
    """

    modality: str
    kind: str
    with_it: str
    without: str


def delta_uno_c(
    a: Sequence[Fold],
    b: Sequence[Fold],
    scale: Scale,
) -> Estimate:
    """Uno's C of `a` minus that of `b`, or why it is not computable."""
    return _delta(UNO_C, a, b, scale)


def delta_isbs(
    a: Sequence[Fold],
    b: Sequence[Fold],
    scale: Scale,
) -> Estimate:
    """ISBS of `a` minus that of `b` (below 0: smaller error), or why it is not computable."""
    return _delta(ISBS, a, b, scale)


def _delta(
    metric: Metric,
    a: Sequence[Fold],
    b: Sequence[Fold],
    scale: Scale,
) -> Estimate:
    basis = Basis(*patients_of(a))
    return basis.computed(lambda: difference(metric, a, b, scale))


def comparisons(
    models: Models,
    name: str,
    scale: Scale,
    skip: Sequence[str] = (),
) -> Rows:
    """Compare the model with every other on the same folds; p-values of ΔC with Holm's adjustment.

    Parameters
    ----------
    models : mapping of name to folds
    name : str
        The model.
    scale : Scale
    skip : sequence of str
        Models that it is not compared with.

    Returns
    -------
    list of dict
        `model, reference, delta_uno_c, p, p_holm, delta_isbs`.
    """
    rows = []
    for other, folds in models.items():
        if other != name and other not in skip:
            row = {"model": name, "reference": other}
            rows.append(row | _differences(models[name], folds, scale))
    return _adjusted(rows)


def increments(
    models: Models,
    wanted: Sequence[Increment],
    scale: Scale,
) -> Rows:
    """Compare models with and without each modality on the same patients.

    Returns
    -------
    list of dict
        `modality, kind, with, without, delta_uno_c, p, p_holm, delta_isbs`; Holm's
        adjustment is over the modalities of one kind of model.
    """
    by_kind: dict[str, Rows] = {}
    for pair in wanted:
        if pair.with_it not in models or pair.without not in models:
            continue
        row = {
            "modality": pair.modality,
            "kind": pair.kind,
            "with": pair.with_it,
            "without": pair.without,
        }
        delta = _differences(models[pair.with_it], models[pair.without], scale)
        by_kind.setdefault(pair.kind, []).append(row | delta)
    return [row for rows in by_kind.values() for row in _adjusted(rows)]


def _differences(
    a: Sequence[Fold],
    b: Sequence[Fold],
    scale: Scale,
) -> dict[str, Any]:
    concordance, error = delta_uno_c(a, b, scale), delta_isbs(a, b, scale)
    return {
        "delta_uno_c": asdict(concordance),
        "p": concordance.p_value(),
        "delta_isbs": asdict(error),
    }


def _adjusted(rows: Rows) -> Rows:
    adjusted = holm([row["p"] for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, adjusted, strict=True)]
