"""A sparse Cox of one wide modality: an anchor that names the genes it reads."""

from __future__ import annotations

from dataclasses import dataclass

from survfuse._types import BoolArray, FloatArray
from survfuse.anchors.blocks import Block
from survfuse.anchors.linear import LinearCox, centred
from survfuse.anchors.penalty import penalty_choice
from survfuse.survival.sparse_cox import sparse_cox_cv

MIXING = 0.5  # half lasso, half ridge: of genes that rise and fall together some are kept, not one at random


@dataclass(frozen=True, eq=False)
class SparseCox(LinearCox):
    """An elastic-net Cox of one modality; most of its weights are 0.

    The penalty is chosen by inner cross-validation on the training patients who have the modality.
    """

    @classmethod
    def fit(
        cls,
        name: str,
        block: Block,
        time: FloatArray,
        event: BoolArray,
        *,
        ties: str = "efron",
    ) -> SparseCox:
        """Fit on the patients who have the modality.

        Parameters
        ----------
        name : str
            The modality.
        block : (values, presence)
        time, event : array, (patients,)
        ties : {"efron", "breslow"}

        Raises
        ------
        NotComputableError
            With fewer than two events.
        """
        x, has = block
        centre = x[has].mean(axis=0)
        path = sparse_cox_cv(
            centred(block, centre)[has],
            time[has],
            event[has],
            mixing=MIXING,
            ties=ties,
            **penalty_choice(event[has], repeats=1),
        )
        return cls(
            {name: centre},
            {name: path.coef},
            float(path.penalty),
            path.note,
            path.effective,
        )
