"""What the features of a vector modality contribute to one of its terms.

A term is followed from the average patient, who has the mean of each feature, to the patient
along a straight line (integrated gradients, Sundararajan 2017, arXiv 1703.01365): a feature's
contribution is its distance from the mean times the mean gradient on the way. Where features are
read linearly and the term is a product, the gradient does not change, and the split is exact.
What the average patient with the modality has, or a patient without it, belongs to its presence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from survfuse._errors import ConfigError
from survfuse._types import BoolArray, FloatArray, IntArray
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.decomposition import Term
from survfuse.estimators.model_parts import Path
from survfuse.explanations.explained import Explained

INTERVALS = 64
"""Of a line, where the parts of the log-risk are products: their sums are then exact."""
CURVED_INTERVALS, SAMPLED_INTERVALS = 256, 16
"""Where they are rectified sums; where each gradient is an average over draws, and costly."""
ROWS_AT_ONCE, VALUES_AT_ONCE = 4096, 2**22


@dataclass(frozen=True, eq=False)
class InputContributions:
    """What features contribute to a term of some patients.

    Attributes
    ----------
    values : array, (patients, features)
    mean : array, (features,)
        Of the reference patients who have the modality.
    present : array of bool, (patients,)
    slopes : array, (patients or 1, features)
        Log-risk per unit of each feature; one row where it is the same for all patients.
    presence : array, (patients,)
        What having or lacking the modality contributes.
    remainder : array, (patients,)
        What is not attributed: of models in a stack that read the modality by other transforms,
        and what the finite number of intervals leaves.
    """

    values: FloatArray
    mean: FloatArray
    present: BoolArray
    slopes: FloatArray
    presence: FloatArray
    remainder: FloatArray

    @property
    def features(self) -> FloatArray:
        """Contribution of each feature, 0 without the modality; (patients, features)."""
        known = np.where(self.present[:, None], self.values - self.mean, 0.0)
        return np.asarray(self.slopes * known)


def input_contributions(
    explained: Explained,
    modality: str,
    *,
    term: Term | None = None,
    rows: IntArray | None = None,
) -> InputContributions:
    """Split a term by the features of one of its modalities.

    Features, presence and remainder add up to the term.

    Parameters
    ----------
    explained : Explained
    modality : str
        A table, expression or a prior.
    term : tuple of str, optional
        The modality's main effect where not given; of an interaction, the other modalities are
        at the patient's own values.
    rows : array of int, (patients,), optional
        Patients; all where not given.

    Raises
    ------
    ConfigError
        When no reference patient has the modality.
    """
    wanted = (modality,) if term is None else term
    chosen = np.arange(len(explained.ids)) if rows is None else rows
    start = start_of(explained, modality)
    values = explained.prepared.vectors[modality][chosen].astype(np.float64)
    present = explained.present(modality)[chosen]
    slopes = _slopes(explained, modality, wanted, chosen, start)
    known = np.where(present[:, None], values - start, 0.0)
    presence = _presence(explained, modality, wanted, chosen, start)
    total = explained.terms.effects.get(wanted, np.zeros(len(explained.ids)))[chosen]
    remainder = total - presence - np.sum(slopes * known, axis=1)
    return InputContributions(values, start, present, slopes, presence, remainder)


def start_of(explained: Explained, modality: str) -> FloatArray:
    """Mean transformed vector of the reference patients who have a modality; (features,)."""
    inputs = mean_inputs_of(explained, modality)
    transform = explained.fitted.transforms.fitted[modality]
    if isinstance(transform, ExpressionTransform):
        return np.asarray(transform.of_z_scores(inputs[None])[0])
    return inputs


def mean_inputs_of(explained: Explained, modality: str) -> FloatArray:
    """Mean features of a table or prior, mean z-scores of genes; (inputs,)."""
    inputs = explained.reference.inputs
    if modality not in inputs:
        raise ConfigError(
            f"{modality}: no patient of the reference has it, so there is no average patient to "
            "compare its values with; give a reference that has it",
        )
    return inputs[modality]


def is_constant(
    explained: Explained,
    modality: str,
    term: Term | None = None,
) -> bool:
    """Whether the gradient of a term by a vector is the same wherever it is taken."""
    parts, wanted = explained.parts, (modality,) if term is None else term
    return parts.is_product(wanted) and parts.is_linear(modality)


def read_contributions(explained: Explained, modality: str) -> FloatArray:
    """What each number that is read of a vector contributes to the main effect.

    The way from the average patient is straight in these numbers where they are linear in the
    vector, as the sets are whose genes a network weighs.

    Returns
    -------
    array, (patients who have the modality, width)
    """
    rows, parts = np.flatnonzero(explained.present(modality)), explained.parts
    start = start_of(explained, modality)
    slopes = np.zeros((len(rows), parts.widths[modality]))
    if is_constant(explained, modality) and len(rows):
        one = explained.readings.take(rows[:1])
        slopes += explained.gradient(modality, readings=one)[:, 2:]
    else:
        for some, path in _paths(explained, modality, rows, start):
            own = _gradients(explained, modality, (modality,), rows[some], path)
            slopes[some] = own.mean(axis=0)
    values = explained.prepared.vectors[modality][rows].astype(np.float64)
    read = parts.encode(modality, values) - parts.encode(modality, start[None])
    return np.asarray(slopes * read)


def _slopes(
    explained: Explained,
    modality: str,
    term: Term,
    rows: IntArray,
    start: FloatArray,
) -> FloatArray:
    """Mean gradient of the term by the features; (patients or 1, features)."""
    parts, values = explained.parts, explained.prepared.vectors[modality]
    if is_constant(explained, modality, term):
        few = rows[:1] if term == (modality,) else rows
        own = explained.gradient(modality, term, explained.readings.take(few))
        here = values[few].astype(np.float64)
        return parts.pull_back(modality, here, own[:, 2:])
    slopes = np.zeros((len(rows), values.shape[1]))
    has = np.flatnonzero(explained.present(modality)[rows])
    for some, path in _paths(explained, modality, rows[has], start):
        patients = rows[has[some]]
        weights = _gradients(explained, modality, term, patients, path)
        slopes[has[some]] = parts.pull_back_along(modality, path, weights)
    return slopes


def _paths(
    explained: Explained,
    modality: str,
    rows: IntArray,
    start: FloatArray,
) -> Iterator[tuple[slice, Path]]:
    """Paths of some patients at a time, and which of `rows` they are."""
    values, parts = explained.prepared.vectors[modality], explained.parts
    intervals = INTERVALS
    if not parts.exact:
        intervals = SAMPLED_INTERVALS
    elif parts.from_background:
        intervals = CURVED_INTERVALS
    size = min(ROWS_AT_ONCE // intervals, VALUES_AT_ONCE // values.shape[1] + 1)
    for first in range(0, len(rows), size):
        some = slice(first, first + size)
        stop = values[rows[some]].astype(np.float64)
        yield some, Path(start, stop, intervals)


def _gradients(
    explained: Explained,
    modality: str,
    term: Term,
    rows: IntArray,
    path: Path,
) -> FloatArray:
    """Gradient by what is read, in each interval of a path; (intervals, patients, width)."""
    parts, intervals = explained.parts, path.intervals
    here = explained.readings.take(np.tile(rows, intervals))
    steps = parts.encode_along(modality, path) - parts.encode(modality, path.stop)
    width = steps.shape[2]
    moved = here.values[modality].copy()
    moved[:, 2:] += steps.reshape(-1, width)
    readings = here.replaced(modality, moved)
    gradient = explained.gradient(modality, term, readings)[:, 2:]
    return gradient.reshape(intervals, len(rows), width)


def _presence(
    explained: Explained,
    modality: str,
    term: Term,
    rows: IntArray,
    start: FloatArray,
) -> FloatArray:
    """The term with the average vector of those who have the modality; (patients,)."""
    if term not in explained.terms.effects:
        return np.zeros(len(rows))
    parts, average = explained.parts, explained.reference.average(modality)
    own = parts.encode(modality, start[None])[0]
    average = np.where(parts.encoded(modality), own, average)
    has = explained.present(modality)[rows]
    which, place = rows, np.arange(len(rows))
    if term == (modality,):  # the same for all who have it, and for all who lack it
        _, first, place = np.unique(has, return_index=True, return_inverse=True)
        which, has = rows[first], has[first]
    here = explained.readings.take(which)
    moved = here.values[modality].copy()
    moved[has, 2:] = average
    return explained.term_at(term, here.replaced(modality, moved))[place]
