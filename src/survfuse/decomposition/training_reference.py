"""The training patients that an explanation compares a patient with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from survfuse._errors import InputError
from survfuse._storage import stored_array, stored_numbers, stored_texts
from survfuse._types import AnyArray, FloatArray, State
from survfuse.decomposition.readings import Readings

MOST_PATIENTS = 500
"""Training patients whose readings are kept."""


@dataclass(frozen=True, eq=False)
class Reference:
    """What a model reads of its training patients.

    Attributes
    ----------
    mean : mapping of modality to array, (2 + width,)
        Mean reading of all training patients, an absent one counting as 0: 1, the share of
        patients who have the modality, and the mean of presence times what is read.
    background : Readings
        Of at most `MOST_PATIENTS` of them, drawn by seed where there are more.
    patients : int
        Training patients behind `mean`.
    inputs : mapping of vector modality to array, (inputs,)
        Mean over the training patients who have the modality of what it is read from: the
        features of a table, the z-scores of genes. A modality that is not there is not known.
    """

    mean: Mapping[str, FloatArray]
    background: Readings
    patients: int
    inputs: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        readings: Readings,
        *,
        from_background: bool = False,
        seed: int = 0,
        inputs: Mapping[str, FloatArray] | None = None,
    ) -> Reference:
        """Make a reference of the readings of all training patients.

        Parameters
        ----------
        readings : Readings
        from_background : bool
            Take the mean of the patients who are kept: for parts that read their whole
            distribution, so that all parts have the same reference.
        seed : int
            Decides which patients are kept. Their order is that of their values: one that is drawn
            by a known seed would lead back to the order of the cohort.
        inputs : mapping of vector modality to array, optional
        """
        rows = np.random.default_rng(seed).permutation(len(readings))[:MOST_PATIENTS]
        drawn = readings.take(rows)
        joined = np.concatenate(list(drawn.values.values()), axis=1)
        background = drawn.take(np.lexsort(joined.T[::-1]))
        averaged = background if from_background else readings
        mean = {name: value.mean(axis=0) for name, value in averaged.values.items()}
        return cls(mean, background, len(readings), dict(inputs or {}))

    def average(self, modality: str) -> FloatArray:
        """Mean of what is read of patients who have a modality, 0 where nobody has it; (width,)."""
        mean = self.mean[modality]
        return np.asarray(mean[2:] / mean[1] if mean[1] > 0 else mean[2:])

    def state(self) -> State:
        """Everything, as JSON and arrays; tiles are not kept."""
        arrays: dict[str, AnyArray] = {}
        for name, mean in self.mean.items():
            arrays[f"mean/{name}"] = mean
            arrays[f"background/{name}"] = self.background.values[name]
        for name, inputs in self.inputs.items():
            arrays[f"inputs/{name}"] = inputs
        state = {
            "modalities": list(self.mean),
            "patients": self.patients,
            "inputs": list(self.inputs),
        }
        return state, arrays

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        arrays: Mapping[str, AnyArray],
        widths: Mapping[str, int],
        sizes: Mapping[str, int] | None = None,
    ) -> Reference:
        """Make a reference again from :meth:`state`.

        Parameters
        ----------
        state, arrays
        widths : mapping of modality to int
            Numbers that the model reads of each.
        sizes : mapping of vector modality to int, optional
            Inputs of each, where the state has their means.

        Raises
        ------
        InputError
            When it belongs to another model.
        """
        names = stored_texts(state["modalities"], "modalities")
        if not names or set(names) != set(widths) or len(set(names)) < len(names):
            raise InputError(
                f"modalities: expected {', '.join(widths)}, got {', '.join(names)}",
            )
        about = {"patients": state["patients"]}
        patients = stored_numbers(about, "reference")["patients"]
        mean, values, rows = {}, {}, None
        for name in names:
            width = 2 + widths[name]
            mean[name] = stored_array(arrays, f"mean/{name}", (width,))
            if mean[name][0] != 1 or not 0 <= mean[name][1] <= 1:
                raise InputError(
                    f"mean/{name}: expected 1, and a share of patients, in the first two places",
                )
            shape = (rows, width)
            values[name] = stored_array(arrays, f"background/{name}", shape)
            rows = len(values[name])
            _refuse_forged(values[name], f"background/{name}")
        if patients % 1 or patients < len(values[names[0]]):
            raise InputError(
                f"patients: expected a whole number from {rows} on, got {patients:g}",
            )
        inputs, sizes = {}, sizes or {}
        for name in stored_texts(state["inputs"], "inputs"):
            if name not in sizes:
                raise InputError(f"inputs: {name!r} is no vector of the model")
            inputs[name] = stored_array(arrays, f"inputs/{name}", (sizes[name],))
        return cls(mean, Readings(values), int(patients), inputs)


def _refuse_forged(values: FloatArray, name: str) -> None:
    ones, presence = values[:, 0], values[:, 1]
    if (ones != 1).any() or not np.isin(presence, (0.0, 1.0)).all():
        raise InputError(
            f"{name}: expected 1, and presence as 0 or 1, in the first two columns",
        )
