"""The paper's map from a log-risk to a time: a rank, read on the training Kaplan–Meier curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from survfuse._errors import NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.survival.argument_checks import as_log_risk
from survfuse.survival.curves import StepFunction, SurvivalCurves, kaplan_meier
from survfuse.survival.right_censored import Outcome


@dataclass(frozen=True, eq=False)
class KmRankCalibrator:
    """The paper's map from a risk to a time (arXiv 2605.13897, as coded); never called calibrated.

    A patient's rank among the training risks, as a probability, is looked up on the
    training Kaplan–Meier curve. Patients beyond its last plateau all get the time at
    which that plateau begins: see :meth:`beyond`.

    Parameters
    ----------
    train_log_risk : array, (patients,), increasing
    survival : StepFunction
        Kaplan–Meier curve of the training patients, stepping at all follow-up times.
    note : str
    """

    train_log_risk: FloatArray
    survival: StepFunction
    note: str = ""
    name: ClassVar[str] = "km_rank"
    has_curves: ClassVar[bool] = False

    @classmethod
    def fit(cls, outcome: Outcome, train_log_risk: npt.ArrayLike) -> KmRankCalibrator:
        """Keep what the map needs of the training patients."""
        risk = as_log_risk(train_log_risk, len(outcome), "train_log_risk")
        return cls(np.sort(risk), kaplan_meier(outcome.time, outcome.event))

    def curves(self, log_risk: npt.ArrayLike) -> SurvivalCurves:
        """Not computable: the map gives a time and no curve.

        Raises
        ------
        NotComputableError
            Always.
        """
        raise NotComputableError(
            "km_rank gives a time and no survival curve; choose calibration breslow_oof for curves",
        )

    def predicted_time(self, log_risk: npt.ArrayLike) -> FloatArray:
        """Give a number in any case, (patients,): a follow-up time of the training patients, or 0."""
        times, _ = self._curve
        found: FloatArray = times[self._steps(log_risk)]
        return found

    def beyond(self, log_risk: npt.ArrayLike) -> BoolArray:
        """Whether the true answer is 'later than the predicted time', (patients,).

        True for patients on the last plateau of a curve that does not reach 0.
        """
        _, survival = self._curve
        steps = self._steps(log_risk)
        on_plateau: BoolArray = (survival[steps] == survival[-1]) & (survival[-1] > 0)
        return on_plateau

    def to_dict(self) -> dict[str, Any]:
        """See :class:`Calibrator`."""
        return {
            "name": self.name,
            "train_log_risk": self.train_log_risk.tolist(),
            "survival": self.survival.to_dict(),
            "note": self.note,
        }

    @property
    def _curve(self) -> tuple[FloatArray, FloatArray]:
        return np.concatenate([[0.0], self.survival.x]), np.concatenate(
            [[1.0], self.survival.y],
        )

    def _steps(self, log_risk: npt.ArrayLike) -> Any:
        n, risk = len(self.train_log_risk), as_log_risk(log_risk)
        at_least = n - np.searchsorted(
            self.train_log_risk,
            risk,
            side="left",
        )  # rank − 1, self included
        wanted = 1 - at_least / (n + 1)
        _, survival = self._curve
        level, first = np.unique(
            -survival,
            return_index=True,
        )  # distinct levels, falling
        return first[_nearest(-level, wanted)]


def _nearest(falling: FloatArray, wanted: FloatArray) -> Any:
    """Index of the value nearest to each wanted one; the earlier (higher) one where two are as near."""
    after = np.clip(
        np.searchsorted(-falling, -wanted, side="left"),
        1,
        max(len(falling) - 1, 1),
    )
    if len(falling) == 1:
        return np.zeros(len(wanted), dtype=np.int64)
    nearer_before = np.abs(falling[after - 1] - wanted) <= np.abs(
        falling[after] - wanted,
    )
    return np.where(nearer_before, after - 1, after)


def km_rank_time(
    query_log_risk: npt.ArrayLike,
    train_log_risk: npt.ArrayLike,
    time: npt.ArrayLike,
    event: npt.ArrayLike,
) -> FloatArray:
    """Predict times as the paper does.

    Each query risk is appended to the training risks; with ``rank`` the number of
    them that are at least as high, ``p = 1 − (rank − 1)/(n + 1)``. The time is where
    the training Kaplan–Meier curve (t = 0 and censoring times included) is nearest
    to p, the first such time where several are.

    Parameters
    ----------
    query_log_risk : array-like, (queries,)
    train_log_risk, time, event : array-like, (patients,)
        The training patients.

    Returns
    -------
    array, (queries,)
    """
    return KmRankCalibrator.fit(Outcome.of(time, event), train_log_risk).predicted_time(
        query_log_risk,
    )
