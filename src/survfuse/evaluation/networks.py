"""Networks as learners: the model, its controls, and what choosing on the test fold would have given."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from survfuse._errors import ConfigError, NotComputableError
from survfuse._types import Batch, FloatArray, IntArray
from survfuse.anchors.blocks import outcomes
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.config import FitConfig
from survfuse.estimator import Prediction, SurvivalFusion
from survfuse.evaluation.learner import MIDDLE_GROUP, FoldResult, Role
from survfuse.evaluation.missing_inputs import predictions_with_loss, with_log_risk
from survfuse.fitting import Fitted, log_risks, watched_log_risks
from survfuse.survival.concordance import harrell_c
from survfuse.survival.curves import SurvivalCurves
from survfuse.training import Hook

OPTIMISTIC = "selected on the test fold"
PERMUTED_OUTCOME = "trained on permuted outcomes"


@dataclass(frozen=True)
class NetworkLearner:
    """A :class:`SurvivalFusion` under a name.

    Attributes
    ----------
    name : str
    config : FitConfig
    role : Role
    permute : bool
        Also predict with each modality permuted among the test patients, under the
        names ``permuted:<modality>``: the same fit, no refit.
    lose : bool
        Also predict with modalities and clinical values missing (`survfuse.evaluation.missing_inputs`):
        the same fit again.
    """

    name: str
    config: FitConfig
    role: Role = "model"
    permute: bool = False
    lose: bool = False

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """Modalities that the network reads; None for all of the cohort's."""
        return self.config.inputs.modalities

    def identity(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return {
            "learner": "network",
            "permute": self.permute,
            "lose": self.lose,
            "config": self.config.identity(),
        }

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Fit the model on `train` and predict `test`."""
        where = target or cohort
        model = SurvivalFusion.from_config(self.config).fit(
            cohort,
            train,
            hooks=hooks,
            checkpoints=folder,
        )
        assert model.fitted is not None
        prediction = model.predict(where, test)
        also: dict[str, Prediction] = {}
        if self.permute or self.lose:
            source = BatchSource(where, model.fitted.transforms, prediction.patient_id)
            if self.permute:
                also |= permuted_predictions(model.fitted, prediction, source)
            if self.lose:
                also |= predictions_with_loss(model.fitted, prediction, where, source)
        return FoldResult(prediction, dict(model.fitted.summary), also)


@dataclass(frozen=True)
class PermutedOutcomeLearner:
    """The model, trained with the outcomes of its training patients permuted among them.

    Predictions are scored against the truth: whatever this finds beyond chance leaks.
    """

    config: FitConfig
    name: str = PERMUTED_OUTCOME
    role: Role = "control"

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """Modalities that the network reads; None for all of the cohort's."""
        return self.config.inputs.modalities

    def identity(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return {"learner": "permuted outcome", "config": self.config.identity()}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Permute (time, event) pairs among `train`, fit, predict `test`."""
        assert cohort.outcome is not None
        ids = sorted(train)
        order = np.random.default_rng([self.config.seed, 1]).permutation(len(ids))
        outcome: pd.DataFrame = cohort.outcome.copy()
        outcome.loc[ids, ["time", "event"]] = cohort.outcome.loc[
            [ids[row] for row in order]
        ].to_numpy()
        permuted = cohort.with_outcome(outcome.astype(cohort.outcome.dtypes.to_dict()))
        learner = NetworkLearner(self.name, self.config)
        return learner.fit_predict(
            permuted,
            ids,
            test,
            hooks,
            folder,
            target=target or cohort,
        )


@dataclass(frozen=True)
class OptimisticLearner:
    """What choosing the epoch on the scored fold would have given; never a result.

    The network is trained on the training patients for all `epochs`, and the epoch
    whose Harrell C on the test fold is best is predicted, which is how many
    published numbers came about. There is no curve, no time and no risk group.
    """

    config: FitConfig
    name: ClassVar[str] = OPTIMISTIC
    role: ClassVar[Role] = "control"

    @property
    def modalities(self) -> tuple[str, ...] | None:
        """Modalities that the network reads; None for all of the cohort's."""
        return self.config.inputs.modalities

    def identity(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return {"learner": OPTIMISTIC, "config": self.config.identity()}

    def fit_predict(
        self,
        cohort: Cohort,
        train: Sequence[str],
        test: Sequence[str],
        hooks: Sequence[Hook] = (),
        folder: Path | None = None,
        *,
        target: Cohort | None = None,
    ) -> FoldResult:
        """Train on `train`, look at the outcomes of `test` after every epoch, keep the best.

        Where no pair of test patients can be compared, the last epoch is predicted, and
        the summary says why.

        Raises
        ------
        ConfigError
            With a target: this is measured within one cohort.
        """
        if target is not None and target is not cohort:
            raise ConfigError(
                f"{self.name!r} is measured by cross-validation within one cohort, not on a target",
            )
        risks = watched_log_risks(
            cohort,
            train,
            test,
            self.config,
            hooks=tuple(hooks),
            folder=folder,
        )
        time, event = outcomes(cohort, test)
        scores = [harrell_c(time, event, risk).value for risk in risks]
        best = _best(scores)
        return FoldResult(
            _without_curves(cohort, test, risks[best]),
            {
                "epochs": len(risks),
                "best_epoch": best + 1,
                "best_harrell_c": scores[best],
                "last_harrell_c": scores[-1],
                "why": ""
                if scores[best] is not None
                else "no pair of test patients can be compared",
                "warning": "the epoch was chosen on the patients it is scored on; this is not a result",
            },
        )


def _best(scores: Sequence[float | None]) -> int:
    """Place of the largest score, the first of equals; the last place where nothing could be scored."""
    scored = [place for place, score in enumerate(scores) if score is not None]
    return max(scored, key=lambda place: scores[place] or 0.0, default=len(scores) - 1)


@dataclass(frozen=True)
class NoCalibrator:
    """Stands where a log-risk has no curve: nothing can be read from it but an order."""

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


def _without_curves(
    cohort: Cohort,
    ids: Sequence[str],
    log_risk: FloatArray,
) -> Prediction:
    calibrator = NoCalibrator()
    return Prediction(
        patient_id=tuple(ids),
        log_risk=log_risk,
        predicted_time=calibrator.predicted_time(log_risk),
        risk_group=np.full(len(ids), MIDDLE_GROUP),
        unit=str(cohort.unit or ""),
        calibrator=calibrator,
    )


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
        What the model says of these patients as they are.
    source : BatchSource
        Of these patients, in their order.

    Returns
    -------
    mapping of ``permuted:<modality>`` to Prediction
        The permutation depends on the model's seed, the modality and who is
        predicted, not on their order.
    """
    found = {}
    for name in fitted.transforms.modalities:
        rows = shuffled_rows(
            prediction.patient_id,
            source.prepared.present[name],
            name,
            fitted.config.seed,
        )
        risk = log_risks(
            fitted.networks,
            PermutedSource(source, name, rows),
            fitted.config,
        )
        found[f"permuted:{name}"] = with_log_risk(
            fitted,
            prediction,
            f"permuted:{name}",
            risk,
        )
    return found


def shuffled_rows(ids: Sequence[str], has: Any, modality: str, seed: int) -> IntArray:
    """Whose modality each patient gets, permuted among those who have it; (patients,)."""
    rows = np.arange(len(ids))
    owners = np.array(
        sorted(np.flatnonzero(has).tolist(), key=lambda row: ids[row]),
        dtype=np.int64,
    )
    word = int.from_bytes(hashlib.sha256(modality.encode()).digest()[:8], "little")
    rows[owners] = owners[np.random.default_rng([seed, word]).permutation(len(owners))]
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

    def __init__(self, source: BatchSource, modality: str, rows: IntArray) -> None:
        self._source, self._modality, self._rows = source, modality, rows

    def __len__(self) -> int:
        return len(self._source)

    def tile_counts(
        self,
        rows: IntArray,
        max_tiles: int | None = None,
    ) -> Mapping[str, IntArray]:
        """Tiles of each patient at `rows` by bag modality, those of the exchanged one included."""
        own = self._source.tile_counts(rows, max_tiles)
        other = self._source.tile_counts(self._rows[np.asarray(rows)], max_tiles)
        return {name: (other if name == self._modality else own)[name] for name in own}

    def batch(
        self,
        rows: IntArray,
        *,
        max_tiles: int | None = None,
        seed: int | None = None,
    ) -> Batch:
        """Batch of the patients at `rows`, one modality exchanged (see :class:`BatchSource`)."""
        own = self._source.batch(rows, max_tiles=max_tiles, seed=seed)
        other = self._source.batch(
            self._rows[np.asarray(rows)],
            max_tiles=max_tiles,
            seed=seed,
        )

        def exchanged(
            mine: Mapping[str, Any],
            theirs: Mapping[str, Any],
        ) -> dict[str, Any]:
            return {
                name: theirs[name] if name == self._modality else mine[name]
                for name in mine
            }

        return replace(
            own,
            bags=exchanged(own.bags, other.bags),
            offsets=exchanged(own.offsets, other.offsets),
            vectors=exchanged(own.vectors, other.vectors),
            present=exchanged(own.present, other.present),
        )
