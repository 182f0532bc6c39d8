"""What two modalities say together and neither says alone: a low-rank bilinear log-risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.anchors.blocks import Block, Components
from survfuse.anchors.penalty import penalty_choice
from survfuse.survival.cox import ridge_cox_cv

SIDE_COMPONENTS = 12  # of each modality; their products are 144 features, half a second for 600 patients
RANK = 3
GIVE_UP = (
    3  # penalties in a row that are worse than the best before the rest is left out
)
FEWEST_EVENTS = (
    10  # among patients who have both modalities; fewer say nothing about 144 products
)


@dataclass(frozen=True, eq=False)
class Interaction:
    """``r(x, y) = sum_k ((x − c) L)_k ((y − d) R)_k``, zero for whoever lacks either modality.

    Attributes
    ----------
    left_centre, right_centre : array, (left,), (right,)
    left, right : array, (left, rank), (right, rank)
    penalty : float
        NaN where nothing was fitted.
    note : str
        Why there is nothing, where there is nothing.
    effective : float
        Effective parameters of the ridge Cox on all products; cut to `RANK`, it has no more.
    """

    left_centre: FloatArray
    right_centre: FloatArray
    left: FloatArray
    right: FloatArray
    penalty: float
    note: str = ""
    effective: float = 0.0

    @classmethod
    def fit(
        cls,
        left: Block,
        right: Block,
        time: FloatArray,
        event: BoolArray,
        offset: FloatArray,
        *,
        ties: str = "efron",
    ) -> Interaction:
        """Fit on the patients who have both, beside what the modalities say alone.

        A ridge Cox on the products of both sides' leading principal components (in proportion to
        their deviations, so that the ridge shrinks what varies little), with the anchors' risks as
        offset and the penalty chosen by cross-validation; of its coefficient matrix the `RANK`
        largest singular values are kept.

        Parameters
        ----------
        left, right : (values, presence) of a modality each
        time, event : array, (patients,)
        offset : array, (patients,)
            Log-risk of the anchors.
        """
        (x, has_x), (y, has_y) = left, right
        both = has_x & has_y
        if event[both].sum() < FEWEST_EVENTS:
            return cls._nothing(
                left,
                right,
                f"{int(event[both].sum())} events among patients with both",
            )
        try:
            sides = [Components.fit(values[both], SIDE_COMPONENTS) for values in (x, y)]
            scores = [
                (values[both] - side.centre) @ side.relative
                for values, side in zip((x, y), sides, strict=True)
            ]
            products = (scores[0][:, :, None] * scores[1][:, None, :]).reshape(
                int(both.sum()),
                -1,
            )
            path = ridge_cox_cv(
                products,
                time[both],
                event[both],
                ties=ties,
                offset=offset[both],
                give_up=GIVE_UP,
                **penalty_choice(event[both], repeats=1),
            )
        except NotComputableError as error:
            return cls._nothing(left, right, str(error))
        if path.deviance.min() >= path.null_deviance:
            return cls._nothing(left, right, "no penalty beats the anchors alone")
        u, s, v = np.linalg.svd(
            path.coef.reshape(scores[0].shape[1], -1),
            full_matrices=False,
        )
        root = np.sqrt(s[:RANK])
        return cls(
            sides[0].centre,
            sides[1].centre,
            sides[0].relative @ (u[:, :RANK] * root),
            sides[1].relative @ (v[:RANK].T * root),
            float(path.penalty),
            effective=path.effective,
        )

    @classmethod
    def _nothing(cls, left: Block, right: Block, why: str) -> Interaction:
        a, b = left[0].shape[1], right[0].shape[1]
        return cls(
            np.zeros(a),
            np.zeros(b),
            np.zeros((a, 0)),
            np.zeros((b, 0)),
            np.nan,
            why,
        )

    @property
    def rank(self) -> int:
        """Products that are added up; 0 where nothing was found."""
        return int(self.left.shape[1])

    def risk(self, left: Block, right: Block) -> FloatArray:
        """Log-risk; (patients,)."""
        (x, has_x), (y, has_y) = left, right
        joint = (
            (x - self.left_centre) @ self.left * ((y - self.right_centre) @ self.right)
        ).sum(axis=1)
        return np.where(has_x & has_y, joint, 0.0)
