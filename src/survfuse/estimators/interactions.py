"""The joint risk of two modalities that neither has alone: a low-rank bilinear log-risk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._storage import stored_array
from survfuse._types import BoolArray, FloatArray
from survfuse.estimators.blocks import Block, Components
from survfuse.estimators.linear_cox import penalty_choice
from survfuse.survival.cox import ridge_cox_cv

SIDE_COMPONENTS = 12
"""Of each modality; their 144 products take half a second for 600 patients."""
RANK = 3
GIVE_UP = 3
"""Penalties in a row that are worse than the best before the rest is left out."""
FEWEST_EVENTS = 10
"""Among patients who have both modalities; fewer cannot estimate 144 products."""


@dataclass(frozen=True, eq=False)
class Interaction:
    """``r(x, y) = sum_k ((x − c) L)_k ((y − d) R)_k``, 0 for whoever lacks either modality.

    Attributes
    ----------
    left_centre, right_centre : array, (left,), (right,)
    left, right : array, (left, rank), (right, rank)
        Rank 0 where nothing was fitted.
    penalty : float
        NaN where nothing was fitted.
    note : str
        Why nothing was fitted.
    effective : float
        Effective parameters of the ridge Cox on all products; cut to `RANK`, it has no more.
    """

    left_centre: FloatArray
    right_centre: FloatArray
    left: FloatArray
    right: FloatArray
    penalty: float = np.nan
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
        """Fit on the patients who have both, in addition to the modalities' own risks.

        A ridge Cox on the products of both sides' leading principal components (in proportion
        to their deviations, so that the ridge shrinks what varies little), with the modalities'
        risks as offset and the penalty chosen by cross-validation; of its coefficient matrix
        the `RANK` largest singular values remain.

        Parameters
        ----------
        left, right : (values, presence) of a modality each
        time, event : array, (patients,)
        offset : array, (patients,)
            Log-risk of the modalities alone.
        """
        both = left[1] & right[1]
        dims = left[0].shape[1], right[0].shape[1]
        if event[both].sum() < FEWEST_EVENTS:
            return cls.none(
                *dims,
                f"{event[both].sum()} events among patients with both",
            )
        try:
            one, scores = _scores(left[0][both])
            two, other_scores = _scores(right[0][both])
            products = scores[:, :, None] * other_scores[:, None, :]
            path = ridge_cox_cv(
                products.reshape(len(products), -1),
                time[both],
                event[both],
                ties=ties,
                offset=offset[both],
                give_up=GIVE_UP,
                **penalty_choice(event[both], repeats=1),
            )
        except NotComputableError as error:
            return cls.none(*dims, str(error))
        if path.deviance.min() >= path.null_deviance:
            return cls.none(*dims, "no penalty beats the modalities alone")
        matrix = path.coef.reshape(products.shape[1:])
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        root = np.sqrt(s[:RANK])
        return cls(
            one.centre,
            two.centre,
            one.relative @ (u[:, :RANK] * root),
            two.relative @ (v[:RANK].T * root),
            float(path.penalty),
            effective=path.effective,
        )

    @classmethod
    def none(
        cls,
        left: int,
        right: int,
        note: str = "",
    ) -> Interaction:
        """Give everyone risk 0, for modalities of so many features."""
        empty = np.zeros((left, 0)), np.zeros((right, 0))
        return cls(np.zeros(left), np.zeros(right), *empty, note=note)

    @property
    def rank(self) -> int:
        """Products that are added up; 0 where nothing was fitted."""
        return int(self.left.shape[1])

    def risk(self, left: Block, right: Block) -> FloatArray:
        """Log-risk; (patients,)."""
        (x, has_x), (y, has_y) = left, right
        one = (x - self.left_centre) @ self.left
        two = (y - self.right_centre) @ self.right
        return np.where(has_x & has_y, (one * two).sum(axis=1), 0.0)

    def arrays(self) -> dict[str, FloatArray]:
        """Arrays that :meth:`from_arrays` makes the same risks of."""
        return {
            "left_centre": self.left_centre,
            "right_centre": self.right_centre,
            "left": self.left,
            "right": self.right,
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        name: str,
        left: int,
        right: int,
    ) -> Interaction:
        """Read what :meth:`arrays` wrote under ``name/``."""
        rank = stored_array(arrays, f"{name}/left", (left, None)).shape[1]
        return cls(
            stored_array(arrays, f"{name}/left_centre", (left,)),
            stored_array(arrays, f"{name}/right_centre", (right,)),
            stored_array(arrays, f"{name}/left", (left, None)),
            stored_array(arrays, f"{name}/right", (right, rank)),
        )


def _scores(x: FloatArray) -> tuple[Components, FloatArray]:
    components = Components.fit(x, SIDE_COMPONENTS)
    return components, (x - components.centre) @ components.relative
