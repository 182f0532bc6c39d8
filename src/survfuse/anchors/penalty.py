"""How a ridge (or sparse) Cox gets its penalty, of a model and of every baseline alike.

The penalty of least cross-validated deviance, over `REPEATS` deals of the patients into folds (one for
pairs and for genes, whose many features take most of the time). The deals
do not depend on any seed that is set: a model and a baseline that see the same inputs of the same patients
have the same penalty, and differ by what they read. No penalty lies below `SMALLEST` per event: where two
event-free patients alone carry a feature, every smaller penalty looks better than the last, and the
feature's coefficient grows without end.
"""

from __future__ import annotations

from typing import Any

from survfuse._types import BoolArray

SMALLEST = 0.01  # per event, on inputs of about unit variance
REPEATS = 3
FOLDS = 5
SEED = 0


def penalty_choice(event: BoolArray, repeats: int = REPEATS) -> dict[str, Any]:
    """Return the arguments of `ridge_cox_cv` and `sparse_cox_cv` that say how the penalty is chosen."""
    return {
        "smallest": SMALLEST,
        "folds": inner_fold_count(event),
        "repeats": repeats,
        "seed": SEED,
    }


def inner_fold_count(event: BoolArray) -> int:
    """Inner folds that these patients can fill: each needs an event."""
    return max(2, min(FOLDS, int(event.sum())))
