"""Predictions of a fitted model for the same patients with some inputs missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from survfuse._errors import InputError
from survfuse._types import Batch, FloatArray, IntArray
from survfuse.cohort.ablation import lose_modalities, lose_values, with_readers
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.transforms import Transforms
from survfuse.estimators import Fitted
from survfuse.estimators.blocks import Block
from survfuse.prediction import Prediction

SHARES = (25, 50, 75)
"""Per cent of the clinical values that are lost."""

Kind = Literal["removed", "only", "missing"]


@dataclass(frozen=True)
class Loss:
    """What the patients lose.

    Attributes
    ----------
    kind : {"removed", "only", "missing"}
        One modality, with the priors that are computed from it; all but one; a share of the
        clinical values.
    what : str
        The modality, or the share in per cent.
    """

    kind: Kind
    what: str

    @property
    def name(self) -> str:
        """How the model under this loss is called in tables."""
        return f"{self.kind}:{self.what}"

    def of(
        self,
        cohort: Cohort,
        used: Sequence[str],
        seed: int,
    ) -> Cohort:
        """Copy a cohort with this lost, as far as the modalities `used` go."""
        if self.kind == "removed":
            return lose_modalities(cohort, with_readers(cohort, self.what))
        if self.kind == "only":
            return lose_modalities(cohort, [name for name in used if name != self.what])
        table = _clinical(cohort, used)
        if table is None:
            return cohort
        lost = lose_values(table, int(self.what) / 100, seed)
        return replace(cohort, modalities={**cohort.modalities, table.name: lost})


@dataclass(frozen=True)
class Losses:
    """The losses that can be tried on a cohort.

    Attributes
    ----------
    all : tuple of Loss
    left_out : tuple of str
        What could not be tried, and why.
    """

    all: tuple[Loss, ...]
    left_out: tuple[str, ...]

    @classmethod
    def on(
        cls,
        cohort: Cohort,
        used: Sequence[str],
    ) -> Losses:
        """Every loss that can be tried on a model that reads the modalities `used`.

        Of two modalities, each removed leaves the other alone, so "only" is left out.
        """
        known = cohort.modalities
        present = [name for name in used if name in known and known[name].patients]
        losses: list[Loss] = []
        left_out: list[str] = []
        if len(present) > 1:
            losses += [Loss("removed", name) for name in present]
        else:
            left_out.append(
                f"modalities removed: there is one modality ({', '.join(present)}), "
                "nothing to remove",
            )
        if len(present) > 2:
            losses += [Loss("only", name) for name in present]
        if _clinical(cohort, present) is not None:
            losses += [Loss("missing", str(share)) for share in SHARES]
        else:
            left_out.append(
                "clinical values missing: the model reads no clinical table",
            )
        return cls(tuple(losses), tuple(left_out))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model under each loss."""
        return tuple(loss.name for loss in self.all)


def _clinical(
    cohort: Cohort,
    used: Sequence[str],
) -> TableData | None:
    for name in used:
        data = cohort.modalities.get(name)
        if isinstance(data, TableData) and data.kind == "clinical":
            return data
    return None


def predictions_with_loss(
    fitted: Fitted,
    prediction: Prediction,
    cohort: Cohort,
    source: BatchSource,
) -> dict[str, Prediction]:
    """Predict again under every loss.

    A lost value is "not known" in a copy of the table, and goes through the transforms as a new
    patient's would: a number becomes the training mean (and its indicator 1, where training had
    one), a category the "unknown" one. Who lost every clinical value has no clinical modality.

    Parameters
    ----------
    fitted : Fitted
    prediction : Prediction
        Of these patients as they are.
    cohort : Cohort
        Theirs.
    source : BatchSource
        Of these patients, in their order; its tiles are read.

    Returns
    -------
    mapping of name to Prediction
        Which values are lost depends on the model's seed, on patient and column, not on who is
        predicted, nor on their order.
    """
    ids = prediction.patient_id
    # not those of the transforms: a model may read none of what it was given
    chosen = fitted.config.inputs.modalities
    used = tuple(cohort.modalities) if chosen is None else chosen
    own = cohort.subset(ids)
    predictions = {}
    # The losses of the whole cohort, so that every fold has the same.
    for loss in Losses.on(cohort, used).all:
        less = loss.of(own, used, fitted.config.training.seed)
        risk = fitted.model.log_risk(LessSource(source, less))
        predictions[loss.name] = with_log_risk(fitted, prediction, loss.name, risk)
    return predictions


def with_log_risk(
    fitted: Fitted,
    prediction: Prediction,
    name: str,
    log_risk: FloatArray,
) -> Prediction:
    """Make a prediction of the same patients from other log-risks.

    Raises
    ------
    InputError
        When one is not finite.
    """
    if not np.isfinite(log_risk).all():
        raise InputError(
            f"{name}: a risk is not finite; look for values far outside training",
        )
    return replace(
        prediction,
        log_risk=log_risk,
        predicted_time=fitted.calibrator.predicted_time(log_risk),
        risk_group=np.searchsorted(fitted.risk_cuts, log_risk, side="left"),
        notes=(),
    )


class LessSource:
    """The tiles of a source beside the vectors and the presence of patients who lost something.

    Parameters
    ----------
    source : BatchSource
    cohort : Cohort
        The same patients after the loss.
    """

    def __init__(
        self,
        source: BatchSource,
        cohort: Cohort,
    ) -> None:
        self._source, self._cohort = source, cohort
        self._prepared = source.transforms.apply(cohort, source.patients)

    def __len__(self) -> int:
        return len(self._source)

    def read_by(self, transforms: Transforms) -> LessSource:
        """See :meth:`BatchSource.read_by`."""
        return LessSource(self._source.read_by(transforms), self._cohort)

    def blocks(self) -> dict[str, Block]:
        """See :meth:`BatchSource.blocks`."""
        blocks = self._source.blocks()
        for name, has in self._prepared.present.items():
            if name in self._prepared.vectors:
                blocks[name] = self._prepared.vectors[name].astype(np.float64), has
            else:
                means, own = blocks[name]
                blocks[name] = means, own & has
        return blocks

    def batch(
        self,
        rows: IntArray,
        *,
        max_tiles: int | None = None,
        seed: int | None = None,
    ) -> Batch:
        """Batch of the patients at `rows`; a bag that nobody has is empty."""
        batch = self._source.batch(
            rows,
            max_tiles=max_tiles,
            seed=seed,
        )
        bags, offsets = {**batch.bags}, {**batch.offsets}
        for name in batch.bags:
            if not self._prepared.present[name].any():
                bags[name], offsets[name] = bags[name][:0], offsets[name] * 0
        return replace(
            batch,
            bags=bags,
            offsets=offsets,
            vectors=_at(self._prepared.vectors, rows),
            present=_at(self._prepared.present, rows),
        )

    def tile_counts(
        self,
        rows: IntArray,
        max_tiles: int | None = None,
    ) -> Mapping[str, IntArray]:
        """Tiles of the patients at `rows`; lost ones are read before they are dropped."""
        return self._source.tile_counts(rows, max_tiles)


def _at(
    arrays: Mapping[str, Any],
    rows: IntArray,
) -> dict[str, torch.Tensor]:
    index = np.asarray(rows, np.int64)
    return {name: torch.from_numpy(values[index]) for name, values in arrays.items()}


def nothing_left(
    loss: Loss,
    cohort: Cohort,
    used: Sequence[str],
    seed: int,
) -> int:
    """Number of patients who have none of the modalities `used` under a loss."""
    present = loss.of(cohort, used, seed).present
    has = present[[name for name in used if name in present]].any(axis=1)
    return int((~has).sum())
