"""Concordance over folds: how well patients are ranked, and by which of two models better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from survfuse.evaluation.combine import Influence, over_folds, over_pairs, told
from survfuse.evaluation.folds import Fold
from survfuse.survival.concordance import concordance_influence, uno_c
from survfuse.survival.estimate import Estimate, joined


def concordance(
    folds: Sequence[Fold],
    kind: str,
    tau: float | None,
    **how: object,
) -> Estimate:
    """Concordance of cross-validated risks (see :func:`over_folds`).

    Parameters
    ----------
    folds : sequence of Fold
    kind : {"harrell", "uno"}
    tau : float or None
        Truncation time, in the unit of `time`.
    """
    how.setdefault("assumptions", ASSUMES[kind])
    found = over_folds(
        folds,
        lambda fold: _concordance(fold, kind, tau),
        limits=(0.0, 1.0),
        until=tau,
        **how,  # type: ignore[arg-type]
    )
    return replace(
        found,
        note=joined(found.note, _restricted(folds, tau) if kind == "uno" else ""),
    )


def concordance_difference(
    a: Sequence[Fold],
    b: Sequence[Fold],
    tau: float | None,
    **how: object,
) -> Estimate:
    """Uno's C of `a` minus that of `b`, paired on the same patients and folds.

    Raises
    ------
    NotComputableError
        When the two do not hold the same patients in the same folds.
    """

    def one(first: Fold, second: Fold) -> Influence:
        return _minus(_concordance(first, "uno", tau), _concordance(second, "uno", tau))

    how.setdefault("assumptions", ASSUMES["uno"])
    found = over_pairs(a, b, one, limits=(-1.0, 1.0), until=tau, **how)
    return replace(found, note=joined(found.note, _restricted(a, tau)))


ASSUMES = {
    "harrell": "censoring does not depend on the risks; the value depends on the censoring pattern",
    "uno": "censoring is independent of the risks and of the event times",
}


def _minus(a: Influence, b: Influence) -> Influence:
    return a[0] - b[0], a[1] - b[1]


def _concordance(fold: Fold, kind: str, tau: float | None) -> Influence:
    train = fold.train if kind == "uno" else None
    return concordance_influence(
        fold.time,
        fold.event,
        fold.risk,
        kind=kind,
        tau=tau,
        train=train,
    )


def _restricted(folds: Sequence[Fold], tau: float | None) -> str:
    """Tell in which folds the censoring curve of the training patients ends before τ."""
    notes = []
    for fold in folds:
        if fold.train is None or fold.log_risk is None or not len(fold):
            continue
        found = uno_c(fold.time, fold.event, fold.log_risk, tau=tau, train=fold.train)
        if found.value is not None and found.note and found.se is not None:
            notes.append(
                found.note if len(folds) == 1 else f"{fold.label} {found.note}",
            )
    return told(notes)
