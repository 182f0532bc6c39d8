"""Controls: a model that has nothing to learn, or that sees what it must not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from survfuse._errors import NotComputableError
from survfuse._types import Batch, BoolArray, FloatArray, IntArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators import Fitted, FoldContext, outcomes, watched_log_risks
from survfuse.estimators.blocks import Block
from survfuse.evaluation.missing_inputs import with_log_risk
from survfuse.prediction import Prediction
from survfuse.survival.concordance import harrell_c
from survfuse.survival.curves import SurvivalCurves

MIDDLE_GROUP = 1
"""Risk group of everyone where risks cannot be cut: neither low (0) nor high (2)."""


def with_permuted_outcomes(
    fold: FoldContext,
    seed: int,
) -> FoldContext:
    """Permute (time, event) pairs among the training patients.

    Predictions are scored against the truth: whatever a model then finds beyond chance leaks.
    """
    assert fold.cohort.outcome is not None
    ids, known = list(fold.ids), fold.cohort.outcome
    order = np.random.default_rng([seed, 1]).permutation(len(ids))
    outcome = known.copy()
    permuted = known.loc[[ids[row] for row in order]].to_numpy()
    outcome.loc[ids, ["time", "event"]] = permuted
    cohort = fold.cohort.with_outcome(outcome.astype(known.dtypes.to_dict()))
    return FoldContext.of(
        cohort,
        ids,
        hooks=fold.hooks,
        folder=fold.folder,
    )


def selected_on_test(
    fold: FoldContext,
    test: Sequence[str],
    config: FitConfig,
) -> tuple[Prediction, dict[str, Any]]:
    """Predict with the epoch that does best on the patients it is scored on; never a result.

    The network is trained for all `epochs`, and the epoch whose Harrell C on the test fold is
    best is predicted, which is how many published numbers came about. There is no curve, no
    time and no risk group. Where no pair of test patients can be compared, the last epoch is
    predicted, and the summary says why.
    """
    risks = watched_log_risks(fold, test, config)
    time, event = outcomes(fold.cohort, test)
    scores = [harrell_c(time, event, risk).value for risk in risks]
    known = [np.nan if score is None else score for score in scores]
    best = len(scores) - 1 if np.isnan(known).all() else int(np.nanargmax(known))
    calibrator = NoCalibrator()
    prediction = Prediction(
        patient_id=tuple(test),
        log_risk=risks[best],
        predicted_time=calibrator.predicted_time(risks[best]),
        risk_group=np.full(len(test), MIDDLE_GROUP),
        unit=str(fold.cohort.unit or ""),
        calibrator=calibrator,
    )
    no_pair = "no pair of test patients can be compared"
    return prediction, {
        "epochs": len(risks),
        "best_epoch": best + 1,
        "best_harrell_c": scores[best],
        "last_harrell_c": scores[-1],
        "why": no_pair if scores[best] is None else "",
        "warning": "the epoch was chosen on the patients it is scored on; this is not a result",
    }


@dataclass(frozen=True)
class NoCalibrator:
    """The calibrator of log-risks that have no curve: only their order can be read."""

    name: ClassVar[str] = "none"
    note: ClassVar[str] = "log-risks only"
    has_curves: ClassVar[bool] = False

    def curves(self, log_risk: Any) -> SurvivalCurves:
        """Refuse (see :class:`survfuse.survival.calibration.Calibrator`)."""
        raise NotComputableError(
            "these log-risks were not calibrated, so they have no survival curve",
        )

    def predicted_time(self, log_risk: Any) -> FloatArray:
        """NaN for everyone; (patients,)."""
        return np.full(len(log_risk), np.nan)

    def to_dict(self) -> dict[str, Any]:
        """See :class:`survfuse.survival.calibration.Calibrator`."""
        return {"name": self.name}


def permuted_predictions(
    fitted: Fitted,
    prediction: Prediction,
    source: BatchSource,
) -> dict[str, Prediction]:
    """Predict again with each modality permuted among the patients who have it.

    Parameters
    ----------
    fitted : Fitted
    prediction : Prediction
        Of these patients as they are.
    source : BatchSource
        Of these patients, in their order.

    Returns
    -------
    mapping of ``permuted:<modality>`` to Prediction
        The permutation depends on the model's seed, the modality and who is
        predicted, not on their order.
    """
    predictions = {}
    for modality, has in source.prepared.present.items():
        rows = shuffled_rows(
            source.patients,
            has,
            modality,
            fitted.config.training.seed,
        )
        risk = fitted.model.log_risk(PermutedSource(source, modality, rows))
        name = f"permuted:{modality}"
        predictions[name] = with_log_risk(fitted, prediction, name, risk)
    return predictions


def shuffled_rows(
    ids: Sequence[str],
    has: BoolArray,
    modality: str,
    seed: int,
) -> IntArray:
    """Whose modality each patient gets, permuted among those who have it; (patients,)."""
    rows = np.arange(len(ids))
    owners = np.array(
        sorted(np.flatnonzero(has).tolist(), key=lambda row: ids[row]),
        dtype=np.int64,
    )
    key = int.from_bytes(hashlib.sha256(modality.encode()).digest()[:8], "little")
    rows[owners] = owners[np.random.default_rng([seed, key]).permutation(len(owners))]
    return rows


class PermutedSource:
    """A source whose patients have one modality of each other.

    Parameters
    ----------
    source : BatchSource
    modality : str
    rows : array of int, (patients,)
        Row ``i`` gets the modality of row ``rows[i]``.
    """

    def __init__(
        self,
        source: BatchSource,
        modality: str,
        rows: IntArray,
    ) -> None:
        self._source, self._modality, self._rows = source, modality, rows

    def __len__(self) -> int:
        return len(self._source)

    def read_by(self, transforms: Transforms) -> PermutedSource:
        """See :meth:`BatchSource.read_by`."""
        source = self._source.read_by(transforms)
        return PermutedSource(source, self._modality, self._rows)

    def blocks(self) -> dict[str, Block]:
        """See :meth:`BatchSource.blocks`."""
        blocks = self._source.blocks()
        if self._modality in blocks:
            x, has = blocks[self._modality]
            blocks[self._modality] = x[self._rows], has[self._rows]
        return blocks

    def tile_counts(
        self,
        rows: IntArray,
        max_tiles: int | None = None,
    ) -> Mapping[str, IntArray]:
        """Tiles of each patient at `rows` by bag modality, those of the exchanged one included."""
        own = self._source.tile_counts(rows, max_tiles)
        other = self._source.tile_counts(self._rows[np.asarray(rows)], max_tiles)
        return self._exchanged(own, other)

    def batch(
        self,
        rows: IntArray,
        *,
        max_tiles: int | None = None,
        seed: int | None = None,
    ) -> Batch:
        """Batch of the patients at `rows`, one modality exchanged (see :class:`BatchSource`)."""
        own = self._source.batch(
            rows,
            max_tiles=max_tiles,
            seed=seed,
        )
        others = self._rows[np.asarray(rows)]
        other = self._source.batch(
            others,
            max_tiles=max_tiles,
            seed=seed,
        )
        return replace(
            own,
            bags=self._exchanged(own.bags, other.bags),
            offsets=self._exchanged(own.offsets, other.offsets),
            vectors=self._exchanged(own.vectors, other.vectors),
            present=self._exchanged(own.present, other.present),
        )

    def _exchanged(
        self,
        own: Mapping[str, Any],
        other: Mapping[str, Any],
    ) -> dict[str, Any]:
        mixed = dict(own)
        if self._modality in own:
            mixed[self._modality] = other[self._modality]
        return mixed
