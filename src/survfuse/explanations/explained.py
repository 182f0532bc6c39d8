"""Patients, a model that was taken apart, and the terms of their log-risks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from survfuse._errors import ConfigError, InputError, listed
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.labels import Labels
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.cohort.transform_inputs import input_sizes, mean_inputs
from survfuse.cohort.transforms import Prepared, Transforms
from survfuse.decomposition import Decomposition, Readings, Reference, Term, decompose
from survfuse.decomposition.readings import CONSTANT
from survfuse.estimators import Fitted
from survfuse.estimators.model_parts import ModelParts
from survfuse.estimators.stack_parts import LinearParts
from survfuse.prediction import Prediction

PATIENTS_AT_ONCE = 128
"""Patients whose tiles are open at a time."""
TAKEN = frozenset({CONSTANT, "risk", "reference", "patient_id", "bin"})
"""Columns of tables of terms and points, which no modality can be called."""
FLAT = (
    "out of fold the log-risks are not shown to order patients: every patient is given the same "
    "curve, and no term is to be read"
)


@dataclass(frozen=True, eq=False)
class Explained:
    """What every table of an explanation is computed from.

    Attributes
    ----------
    fitted : Fitted
    cohort : Cohort
        Of the patients, without outcomes and with the model's priors.
    ids : tuple of str
        The patients, in order.
    prediction : Prediction
    parts : ModelParts
        The model, taken apart.
    readings : Readings
        What it reads of the patients.
    reference : Reference
        What it reads of the training patients, or of those who were given instead.
    terms : Decomposition
    notes : tuple of str
        What cannot be explained, and why.
    """

    fitted: Fitted
    cohort: Cohort
    ids: tuple[str, ...]
    prediction: Prediction
    parts: ModelParts
    readings: Readings
    reference: Reference
    terms: Decomposition
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        cohort: Cohort,
        ids: Sequence[str],
        reference: Cohort | None = None,
    ) -> Explained:
        """Read patients and split their log-risks; see :func:`survfuse.explanations.explain`."""
        parts = fitted.model.parts(fitted.transforms)
        taken = sorted(TAKEN.intersection(parts.widths))
        if taken:
            raise ConfigError(
                f"a modality is called {listed(taken)}, as is another column of the tables of an "
                "explanation; give it another name in the cohort file, and train again",
            )
        known = replace(fitted.transforms.with_priors(cohort), outcome=None)
        blocks, risks = [], []
        for source in _sources(fitted, known, ids):
            blocks.append(parts.read(source))
            risks.append(fitted.model.log_risk(source))
        readings = Readings.joined(blocks)
        prediction = fitted.predict(cohort, ids, log_risk=np.concatenate(risks))
        compared, notes = _reference(fitted, parts, reference)
        if is_flat(fitted):
            notes = (FLAT, *notes)
        terms = decompose(parts.members, readings, compared)
        return cls(
            fitted,
            known,
            tuple(ids),
            prediction,
            parts,
            readings,
            compared,
            terms,
            notes,
        )

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the model, in its order."""
        return tuple(self.readings.values)

    @cached_property
    def prepared(self) -> Prepared:
        """Transformed vectors of the patients."""
        return self.fitted.transforms.apply(self.cohort, self.ids)

    @cached_property
    def labels(self) -> Labels:
        """Words of the cohort file for modalities, columns and values."""
        return Labels.of(self.cohort.spec)

    @cached_property
    def computed(self) -> dict[Any, Any]:
        """What several tables need of all patients, kept by what it is."""
        return {}

    def row(self, patient: str) -> int:
        """Row of a patient.

        Raises
        ------
        InputError
            When the patient was not explained.
        """
        if patient not in self._rows:
            raise InputError(
                f"no patient {patient!r} among the {len(self.ids)} explained: "
                f"{listed(self.ids, 5)}",
            )
        return self._rows[patient]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {patient: row for row, patient in enumerate(self.ids)}

    def present(self, modality: str) -> BoolArray:
        """Who has a modality; (patients,)."""
        return np.asarray(self.readings.values[modality][:, 1] > 0)

    def gradient(
        self,
        modality: str,
        term: Term | None = None,
        readings: Readings | None = None,
    ) -> FloatArray:
        """Gradient of a term by what is read of one of its modalities.

        Parameters
        ----------
        modality : str
        term : tuple of str, optional
            The modality's main effect where not given; of an interaction, the other modalities
            are at the patient's own readings.
        readings : Readings
            Of the patients, where the gradient is taken; their own by default.

        Returns
        -------
        array, (patients, 2 + width)
        """
        here = self.readings if readings is None else readings
        wanted = (modality,) if term is None else term
        total = np.zeros_like(here.values[modality])
        for part in self.parts.all_parts(wanted):
            total += part.gradient(wanted, modality, here, self.reference)
        return total / len(self.parts.members)

    def term_at(
        self,
        term: Term,
        readings: Readings,
    ) -> FloatArray:
        """Value of a term at some readings; (patients,)."""
        return decompose(self.parts.members, readings, self.reference).effects[term]


def is_flat(fitted: Fitted) -> bool:
    """Whether calibration found that log-risks order nobody, so that all have the same curve."""
    return getattr(fitted.calibrator, "slope", None) == 0


def read(
    fitted: Fitted,
    parts: ModelParts,
    cohort: Cohort,
    ids: Sequence[str],
) -> Readings:
    """Read patients."""
    sources = _sources(fitted, cohort, ids)
    return Readings.joined([parts.read(source) for source in sources])


def _sources(
    fitted: Fitted,
    cohort: Cohort,
    ids: Sequence[str],
) -> Iterator[BatchSource]:
    """Some patients at a time, so that memory does not grow with their tiles."""
    for start in range(0, len(ids), PATIENTS_AT_ONCE):
        some = ids[start : start + PATIENTS_AT_ONCE]
        yield BatchSource(cohort, fitted.transforms, some)


def _reference(
    fitted: Fitted,
    parts: ModelParts,
    cohort: Cohort | None,
) -> tuple[Reference, tuple[str, ...]]:
    """Readings to compare with, and notes on what they are."""
    if cohort is not None:
        return _given_reference(fitted, parts, cohort)
    if fitted.reference is not None and not parts.needs_tiles:
        return fitted.reference, ()
    if fitted.reference is None and isinstance(parts, LinearParts) and not parts.nested:
        note = (
            "this bundle of an older version holds no reference: terms compare with a patient who "
            "has every modality, each at its training mean; train again, or give the training "
            "cohort as reference"
        )
        return _average_patient(parts, fitted.transforms), (note,)
    lacks = "no reference (it is of an older version)"
    if parts.needs_tiles:
        lacks = "no tiles of its training patients, which fusion coattention reads"
    raise ConfigError(
        f"terms compare with the training patients, and the model holds {lacks}; give the training "
        "cohort (in Python: reference=cohort; on the command line: --reference COHORT)",
    )


def _given_reference(
    fitted: Fitted,
    parts: ModelParts,
    cohort: Cohort,
) -> tuple[Reference, tuple[str, ...]]:
    if not cohort.patients:
        raise InputError(f"reference: cohort {cohort.name!r} has no patient")
    known = replace(fitted.transforms.with_priors(cohort), outcome=None)
    readings = read(fitted, parts, known, cohort.patients)
    prepared = fitted.transforms.apply(known)
    reference = Reference.of(
        readings,
        from_background=parts.from_background,
        inputs=mean_inputs(fitted.transforms, known, prepared),
    )
    if fitted.trained is None:
        return reference, ()
    trained = fitted.trained.among(cohort.patients)
    if trained.all():
        return reference, ()
    note = (
        f"{(~trained).sum()} of the {len(trained)} reference patients were not trained on: terms "
        "compare with these patients, not with the training cohort"
    )
    return reference, (note,)


def _average_patient(parts: LinearParts, transforms: Transforms) -> Reference:
    blocks = {}
    for name, width in parts.widths.items():
        blocks[name] = np.zeros((1, width)), np.ones(1, bool)
    inputs = {}
    for name in input_sizes(transforms):
        inputs[name] = parts.columns[name].centres[0]
        one = transforms.fitted[name]
        if isinstance(one, ExpressionTransform):
            inputs[name] = np.zeros(len(one.genes)) if one.center else one.mean
    return Reference.of(Readings.of(blocks), inputs=inputs)
