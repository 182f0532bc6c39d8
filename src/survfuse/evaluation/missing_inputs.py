"""What a fitted model says of the same patients where something of theirs is missing; nothing is refitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from survfuse._errors import InputError
from survfuse._types import Batch, FloatArray, IntArray
from survfuse.cohort.ablation import lose_modalities, lose_values
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.modalities import TableData
from survfuse.cohort.transforms import Prepared
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
        One modality; all but one; a share of the clinical values.
    what : str
        The modality, or the share in per cent.
    """

    kind: Kind
    what: str

    @property
    def name(self) -> str:
        """How the model under this loss is called in tables."""
        return f"{self.kind}:{self.what}"

    def of(self, cohort: Cohort, used: Sequence[str], seed: int) -> Cohort:
        """Copy a cohort with this lost, as far as the modalities `used` go."""
        if self.kind == "removed":
            return lose_modalities(cohort, [self.what])
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
    each : tuple of Loss
    left_out : tuple of str
        What could not be tried, and why.
    """

    each: tuple[Loss, ...]
    left_out: tuple[str, ...]

    @classmethod
    def on(cls, cohort: Cohort, used: Sequence[str]) -> Losses:
        """Every loss that means something for a model that reads the modalities `used`.

        Of two modalities, each removed leaves the other alone, so "only" is left out.
        """
        there = [
            name
            for name in used
            if name in cohort.modalities and cohort.modalities[name].patients
        ]
        each: list[Loss] = []
        left_out: list[str] = []
        if len(there) > 1:
            each += [Loss("removed", name) for name in there]
        else:
            left_out.append(
                f"modalities removed: there is one modality ({', '.join(there)}), nothing to remove",
            )
        if len(there) > 2:
            each += [Loss("only", name) for name in there]
        if _clinical(cohort, there) is not None:
            each += [Loss("missing", str(share)) for share in SHARES]
        else:
            left_out.append(
                "clinical values missing: the model reads no clinical table",
            )
        return cls(tuple(each), tuple(left_out))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model under each loss."""
        return tuple(loss.name for loss in self.each)


def _clinical(cohort: Cohort, used: Sequence[str]) -> TableData | None:
    tables = (cohort.modalities[name] for name in used if name in cohort.modalities)
    return next(
        (
            data
            for data in tables
            if isinstance(data, TableData) and data.kind == "clinical"
        ),
        None,
    )


def predictions_under_loss(
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
        What the model says of these patients as they are.
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
    ids, used = prediction.patient_id, fitted.transforms.modalities
    own = cohort.subset(ids)
    found = {}
    for loss in Losses.on(
        cohort,
        used,
    ).each:  # of the whole cohort, so that every fold has the same
        prepared = fitted.transforms.apply(loss.of(own, used, fitted.config.seed), ids)
        risk = fitted.model.log_risk(LessSource(source, prepared))
        found[loss.name] = told_again(fitted, prediction, loss.name, risk)
    return found


def told_again(
    fitted: Fitted,
    prediction: Prediction,
    name: str,
    log_risk: FloatArray,
) -> Prediction:
    """Turn other log-risks of the same patients into a prediction.

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
    prepared : Prepared
        The same patients in the same order, after the loss.
    """

    def __init__(self, source: BatchSource, prepared: Prepared) -> None:
        self._source, self._prepared = source, prepared
        self._vectors = {
            name: torch.from_numpy(values) for name, values in prepared.vectors.items()
        }
        self._present = {
            name: torch.from_numpy(has) for name, has in prepared.present.items()
        }

    def __len__(self) -> int:
        return len(self._source)

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
        """Batch of the patients at `rows` (see :class:`BatchSource`); a bag that nobody has is not read."""
        own = self._source.batch(rows, max_tiles=max_tiles, seed=seed)
        at = torch.from_numpy(np.asarray(rows, np.int64))
        gone = {name for name in own.bags if not self._present[name].any()}
        return replace(
            own,
            bags={
                name: tiles[:0] if name in gone else tiles
                for name, tiles in own.bags.items()
            },
            offsets={
                name: ends * 0 if name in gone else ends
                for name, ends in own.offsets.items()
            },
            vectors={name: values[at] for name, values in self._vectors.items()},
            present={name: has[at] for name, has in self._present.items()},
        )

    def tile_counts(
        self,
        rows: IntArray,
        max_tiles: int | None = None,
    ) -> Mapping[str, IntArray]:
        """Tiles of the patients at `rows`, lost ones too: they are read before they are left out."""
        return self._source.tile_counts(rows, max_tiles)


def nothing_left(loss: Loss, cohort: Cohort, used: Sequence[str], seed: int) -> int:
    """Count patients who have none of the modalities `used` under a loss: a model knows nothing of them."""
    present = loss.of(cohort, used, seed).present
    has = present[[name for name in used if name in present]].any(axis=1)
    return int((~has).sum())
