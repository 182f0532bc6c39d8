"""Who is better than whom, and what each modality adds: paired on the same patients and folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from survfuse._errors import NotComputableError
from survfuse.evaluation.assessment import isbs_difference
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.combine import holm
from survfuse.evaluation.folds import Fold, patients_of
from survfuse.evaluation.ranking import concordance_difference
from survfuse.survival.estimate import Estimate, not_computable

Models = Mapping[str, Sequence[Fold]]


@dataclass(frozen=True)
class Increment:
    """A modality, and the two models that differ by it alone.

    Attributes
    ----------
    modality : str
    kind : str
        What sort of model it is, for people ("network", "late fusion").
    with_it, without : str
        Names of the two models.
    """

    modality: str
    kind: str
    with_it: str
    without: str


def delta_uno_c(a: Sequence[Fold], b: Sequence[Fold], scale: Scale) -> Estimate:
    """Uno's C of `a` minus that of `b`, or why it cannot be told."""
    try:
        return concordance_difference(a, b, scale.tau, interval=scale.interval)
    except NotComputableError as why:
        return not_computable(str(why), *patients_of(a))


def delta_isbs(a: Sequence[Fold], b: Sequence[Fold], scale: Scale) -> Estimate:
    """ISBS of `a` minus that of `b` (below 0: smaller error), or why it cannot be told."""
    try:
        return isbs_difference(a, b, scale)
    except NotComputableError as why:
        return not_computable(str(why), *patients_of(a))


def comparisons(
    models: Models,
    name: str,
    scale: Scale,
    skip: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Set the model beside every other on the same folds; p-values of ΔC with Holm's adjustment.

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
    others = [other for other in models if other != name and other not in skip]
    rows = [
        {
            "model": name,
            "reference": other,
            **_differences(models[name], models[other], scale),
        }
        for other in others
    ]
    return _adjusted(rows)


def increments(
    models: Models,
    wanted: Sequence[Increment],
    scale: Scale,
) -> list[dict[str, Any]]:
    """Tell what each modality adds: models with and without it on the same patients.

    Returns
    -------
    list of dict
        `modality, kind, with, without, delta_uno_c, p, p_holm, delta_isbs`; Holm's
        adjustment is over the modalities of one kind of model.
    """
    rows: list[dict[str, Any]] = []
    for kind in dict.fromkeys(each.kind for each in wanted):
        part = [
            {
                "modality": each.modality,
                "kind": kind,
                "with": each.with_it,
                "without": each.without,
                **_differences(models[each.with_it], models[each.without], scale),
            }
            for each in wanted
            if each.kind == kind and each.with_it in models and each.without in models
        ]
        rows += _adjusted(part)
    return rows


def _differences(a: Sequence[Fold], b: Sequence[Fold], scale: Scale) -> dict[str, Any]:
    concordance, error = delta_uno_c(a, b, scale), delta_isbs(a, b, scale)
    return {
        "delta_uno_c": asdict(concordance),
        "p": concordance.p_value(),
        "delta_isbs": asdict(error),
    }


def _adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    adjusted = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p} for row, p in zip(rows, adjusted, strict=True)]
