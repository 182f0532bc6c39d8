"""Array types, and the batch that brings patients to a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

AnyArray = npt.NDArray[Any]
FloatArray = npt.NDArray[np.floating[Any]]
Float32Array = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
Arrays = dict[str, AnyArray]
State = tuple[dict[str, Any], Arrays]
"""What a fitted object saves: JSON, and arrays by name."""


@dataclass(frozen=True)
class Batch:
    """Some patients, with whatever modalities each of them has.

    Rows are patients in the order of `patient_id`. The tiles of all patients of
    a bag modality lie in one matrix; patient ``i`` owns rows
    ``offsets[m][i]:offsets[m][i + 1]``, which are empty where the modality is
    absent. Rows of an absent vector modality are zeros. Both are masked by
    `present` wherever a network reads them.

    Attributes
    ----------
    bags : mapping of modality to Tensor, (tiles, features)
        float32, or float16 where nothing is scaled
    offsets : mapping of modality to Tensor, (patients + 1,) int64
    vectors : mapping of modality to Tensor, (patients, features) float32
    present : mapping of modality to Tensor, (patients,) bool
    time : Tensor, (patients,) float64, in the cohort's unit; NaN when unknown
    event : Tensor, (patients,) bool; False when unknown
    patient_id : tuple of str, (patients,)
    """

    bags: Mapping[str, Tensor]
    offsets: Mapping[str, Tensor]
    vectors: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    time: Tensor
    event: Tensor
    patient_id: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.patient_id)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of all modalities in the batch, bags first."""
        return (*self.bags, *self.vectors)
