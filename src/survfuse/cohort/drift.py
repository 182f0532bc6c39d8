"""Whether new patients look like the training patients: one distance per modality.

A patient is the vector that the network reads, or, for a bag, the mean tile and the number of
tiles. The distance is the mean squared deviation along the leading principal components of
the training patients, each in units of its variance there, plus the squared rest in units of the
mean squared rest. Distances of training patients come from frames fitted without them: distances
to a mean and along axes that one has helped to choose say nothing about strangers (too short where
features are few; too long where axes follow the noise of the patients themselves). For that same
reason a training patient whose data have changed since (rounded, exported again) is compared with
how far training patients are in a frame that was fitted with them.

Only what the network reads is compared: genes outside the principal components, say, may differ
unseen. A number of a table far outside the training range, which the network does not read as it
is, counts as farther than every training patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import betabinom

from survfuse._errors import InputError
from survfuse._storage import stored_array
from survfuse._types import AnyArray, Arrays, BoolArray, FloatArray, State
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.principal_components import principal_axes
from survfuse.cohort.table_columns import OUT_OF_RANGE
from survfuse.cohort.tile_moments import spaced

COMPONENTS = 32
PATIENTS_PER_COMPONENT = 10
FOLDS = 10
LEAST_PATIENTS = (
    10  # training patients with the modality; fewer tell nothing about what is usual
)
MOST_PATIENTS = 500  # of the training patients, evenly spaced, when frames are fitted
RANGE = 0.99  # of the training patients
SURPRISE = 1e-3  # chance of so many patients outside, below which the cohort differs
SLACK = 0.01  # of a distance, for a training patient whose data were rounded or exported again
PATIENTS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Frame:
    """Mean, leading axes and spread of some patients.

    Attributes
    ----------
    center : array, (features,)
    scale : array, (features,)
        What each feature is divided by.
    axes : array, (components, features), orthonormal
    variance : array, (components,)
        Along each axis, drawn towards their mean as much as few patients require.
    rest : float
        Mean squared distance from the space of the axes.
    """

    center: FloatArray
    scale: FloatArray
    axes: FloatArray
    variance: FloatArray
    rest: float

    @classmethod
    def fit(
        cls,
        x: FloatArray,
        scale: FloatArray,
        components: int,
    ) -> Frame:
        """Learn from rows `x`, (patients, features), along at most `components` axes."""
        center = x.mean(axis=0)
        z = (x - center) / scale
        total = float((z**2).mean(axis=0).sum())
        axes, deviations = principal_axes(z, components)
        variance = deviations**2
        remaining = total - float(variance.sum())
        # squared length that rounding to float32 may give to a difference of such values
        rounding = max((1e-6 * np.abs(center / scale)).max(initial=0.0), 1e-6)
        rounding = float(rounding**2 * len(center))
        rest = max(remaining, total / x.shape[1], rounding)
        if len(variance):
            pull = len(variance) / (len(variance) + len(x))
            variance = (1 - pull) * variance + pull * variance.mean()
        return cls(center, scale, axes, variance, rest)

    def distance(self, x: FloatArray) -> FloatArray:
        """Distance of each row, (patients,); infinite where a value is not finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = (x - self.center) / self.scale
            scores = z @ self.axes.T
            outside = (z**2).sum(axis=1) - (scores**2).sum(axis=1)
            distance = np.maximum(outside, 0.0) / self.rest
            if len(self.variance):
                distance = (scores**2 / self.variance).mean(axis=1) + distance
        return np.where(np.isfinite(distance), distance, np.inf)


@dataclass(frozen=True, eq=False)
class Usual:
    """What training patients look like in one modality.

    Attributes
    ----------
    frame : Frame
    distances : array, (training patients,), increasing
        Each in a frame that was fitted without its patient.
    own : array, (training patients,), increasing, or None
        Each in `frame`, which was fitted with its patient; None in bundles of older versions.
    """

    frame: Frame
    distances: FloatArray
    own: FloatArray | None = None

    @classmethod
    def fit(cls, x: FloatArray, scale: FloatArray) -> Usual:
        """Learn from training patients `x`, (patients, features)."""
        x = x[spaced(np.arange(len(x)), MOST_PATIENTS)]
        components = min(COMPONENTS, len(x) // PATIENTS_PER_COMPONENT)
        fold = np.arange(len(x)) % FOLDS
        distances = np.empty(len(x))
        for index in range(FOLDS):
            held = fold == index
            distances[held] = Frame.fit(x[~held], scale, components).distance(x[held])
        frame = Frame.fit(x, scale, components)
        return cls(frame, np.sort(distances), np.sort(frame.distance(x)))

    @property
    def nominal(self) -> float:
        """Chance that a patient like the training patients is reported to be outside."""
        n = len(self.distances)
        return max(1, int((1 - RANGE) * (n + 1) + 1e-9)) / (n + 1)

    @property
    def range(self) -> str:
        """The range as text."""
        n = len(self.distances)
        return f"{RANGE:.0%} of" if (1 - RANGE) * (n + 1) >= 1 - 1e-9 else f"all {n}"

    def share(self, x: FloatArray) -> FloatArray:
        """Share of training patients that are at least as far, (patients,)."""
        distance = self.frame.distance(x) * (1 - 1e-9)
        return 1 - np.searchsorted(self.distances, distance) / len(self.distances)

    def shares(self, x: FloatArray, trained: BoolArray) -> FloatArray:
        """The same, where some were `trained` on with other data; NaN for these if not known."""
        share = np.full(len(x), np.nan)
        share[~trained] = self.share(x[~trained])
        if self.own is not None:
            distance = self.frame.distance(x[trained]) * (1 - SLACK)
            share[trained] = 1 - np.searchsorted(self.own, distance) / len(self.own)
        return share

    def outside(self, share: FloatArray) -> BoolArray:
        """Whether each share is below what the range allows, (patients,)."""
        n = len(self.distances)
        return np.asarray((share * n + 1) / (n + 1) <= self.nominal + 1e-9)


@dataclass(frozen=True, eq=False)
class DriftReport:
    """How far some patients are from the training patients.

    Attributes
    ----------
    patients : tuple of str
    share : mapping of modality to array, (patients,)
        Share of training patients at least as far; NaN where the modality is absent,
        too few training patients had it, or the patient's data were trained on.
    outside : mapping of modality to array of bool, (patients,)
        Farther than the range of the training patients.
    notes : tuple of (patient_id or "", message)
        Patients outside, and modalities in which more are outside than chance would put there.
    """

    patients: tuple[str, ...]
    share: Mapping[str, FloatArray]
    outside: Mapping[str, BoolArray]
    notes: tuple[tuple[str, str], ...]

    @property
    def marks(self) -> list[str]:
        """Modalities in which each patient is outside, as text; empty where in none."""
        marks: list[list[str]] = [[] for _ in self.patients]
        for name, outside in self.outside.items():
            for row in np.flatnonzero(outside):
                marks[row].append(name)
        return list(map(", ".join, marks))


@dataclass(frozen=True, eq=False)
class Drift:
    """What training patients look like, modality by modality.

    Attributes
    ----------
    usual : mapping of modality to Usual
    """

    usual: Mapping[str, Usual]

    @classmethod
    def fit(cls, source: BatchSource) -> Drift:
        """Learn from the training patients that `source` holds."""
        usual = {}
        for name, present in source.prepared.present.items():
            if present.sum() >= LEAST_PATIENTS:
                x = _rows(source, name)[present]
                is_bag = name not in source.prepared.vectors
                usual[name] = Usual.fit(x, _scale(x, is_bag=is_bag))
        return cls(usual)

    def judge(
        self,
        source: BatchSource,
        seen: BoolArray | None = None,
        trained: BoolArray | None = None,
    ) -> DriftReport:
        """Compare the patients of `source` with the training patients.

        Parameters
        ----------
        source : BatchSource
        seen : array of bool, (patients,), optional
            Whose very data were trained on: they are not compared with themselves.
        trained : array of bool, (patients,), optional
            Who was trained on, perhaps with other data.
        """
        if trained is None:
            trained = np.zeros(len(source), dtype=bool)
        share: dict[str, FloatArray] = {}
        outside: dict[str, BoolArray] = {}
        notes: list[tuple[str, str]] = []
        for name, has in source.prepared.present.items():
            present = has if seen is None else has & ~seen
            share[name] = np.full(len(source), np.nan)
            outside[name] = np.zeros(len(source), dtype=bool)
            usual = self.usual.get(name)
            if usual is not None and present.any():
                x = _rows(source, name)[present]
                share[name][present] = usual.shares(x, trained[present])
                share[name][present & _far_values(source, name)] = 0.0
                known = np.isfinite(share[name])
                outside[name][known] = usual.outside(share[name][known])
                outside[name][trained] = share[name][trained] == 0
                notes += _patient_notes(name, usual, source, share[name], outside[name])
                notes += _cohort_notes(name, usual, outside[name][known])
        return DriftReport(source.patients, share, outside, tuple(notes))

    def state(self) -> State:
        """Everything learned: JSON and arrays, named ``modality/array``."""
        modalities = []
        arrays: Arrays = {}
        for name, one in self.usual.items():
            modalities.append({"name": name, "rest": one.frame.rest})
            for part in ("center", "scale", "variance"):
                arrays[f"{name}/{part}"] = getattr(one.frame, part)
            arrays[f"{name}/axes"] = one.frame.axes.astype(np.float32)
            arrays[f"{name}/distances"] = one.distances
            if one.own is not None:
                arrays[f"{name}/own"] = one.own
        return {"modalities": modalities}, arrays

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        tensors: Mapping[str, AnyArray],
    ) -> Drift:
        """Make it again from :meth:`state`.

        Raises
        ------
        InputError
            When the arrays of a modality do not fit each other.
        """
        usual = {}
        for entry in state["modalities"]:
            name = str(entry["name"])
            features = len(tensors[f"{name}/center"])
            components = len(tensors[f"{name}/variance"])
            shapes: dict[str, tuple[int | None, ...]] = {
                "center": (features,),
                "scale": (features,),
                "axes": (components, features),
                "variance": (components,),
                "distances": (None,),
            }
            if f"{name}/own" in tensors:
                shapes["own"] = (None,)
            arrays = {}
            for part, shape in shapes.items():
                stored = stored_array(tensors, f"{name}/{part}", shape)
                arrays[part] = stored.astype(np.float64)
            distances, rest = arrays.pop("distances"), entry["rest"]
            own = arrays.pop("own", None)
            falling = (np.diff(distances) < 0).any() or (
                own is not None and (np.diff(own) < 0).any()
            )
            if falling or type(rest) not in (int, float):
                raise InputError(
                    f"{name}: expected increasing distances, and a number for the rest",
                )
            frame = Frame(rest=float(rest), **arrays)
            usual[name] = Usual(frame, distances, own)
        return cls(usual)


def _rows(source: BatchSource, name: str) -> FloatArray:
    """What a patient is in one modality, (patients, features); zeros where absent."""
    if name in source.prepared.vectors:
        return source.prepared.vectors[name].astype(np.float64)
    parts = []
    for start in range(0, len(source), PATIENTS_AT_ONCE):
        stop = min(start + PATIENTS_AT_ONCE, len(source))
        batch = source.batch(np.arange(start, stop))
        tiles, offsets = batch.bags[name].numpy(), batch.offsets[name].numpy()
        counts = np.diff(offsets)
        rows = np.zeros((len(counts), tiles.shape[1] + 1))
        has = counts > 0
        if has.any():
            with np.errstate(over="ignore", invalid="ignore"):
                sums = np.add.reduceat(tiles, offsets[:-1][has], dtype=np.float64)
            rows[has, :-1] = sums / counts[has, None]
        rows[:, -1] = np.log1p(counts)
        parts.append(rows)
    return np.concatenate(parts)


def _far_values(source: BatchSource, name: str) -> BoolArray:
    """Who has a value far outside the training range; (patients,)."""
    report = source.prepared.report
    far = report[(report["modality"] == name) & (report["kind"] == OUT_OF_RANGE)]
    return pd.Index(source.patients, dtype=object).isin(far["patient_id"])


def _scale(x: FloatArray, *, is_bag: bool) -> FloatArray:
    """Ones: features keep their scale. The number of tiles gets the mean variance of the others."""
    scale = np.ones(x.shape[1])
    spread = x.std(axis=0)
    if is_bag and spread[-1] > 0 and spread[:-1].any():
        scale[-1] = spread[-1] / np.sqrt((spread[:-1] ** 2).mean())
    return scale


def _patient_notes(
    name: str,
    usual: Usual,
    source: BatchSource,
    share: FloatArray,
    outside: BoolArray,
) -> list[tuple[str, str]]:
    """Patients who are outside, and how many training patients are as far."""
    n = len(usual.distances)
    notes = []
    for row in np.flatnonzero(outside):
        count = f"{round(share[row] * n)} of {n}"
        text = f"{name}: drift: {count} training patients are as far from what is usual"
        notes.append((source.patients[row], text))
    return notes


def _cohort_notes(
    name: str,
    usual: Usual,
    outside: BoolArray,
) -> list[tuple[str, str]]:
    """Whether more patients are outside than chance would put there."""
    n, new, far = len(usual.distances), len(outside), int(outside.sum())
    # all ranks among n + new alike patients are equally likely
    beyond = round(usual.nominal * (n + 1))
    if far < 2 or betabinom.sf(far - 1, new, beyond, n + 1 - beyond) >= SURPRISE:
        return []
    text = (
        f"{far} of {new} patients are outside what {usual.range} training patients look like in "
        f"modality {name}: other units, another laboratory?"
    )
    return [("", text)]
