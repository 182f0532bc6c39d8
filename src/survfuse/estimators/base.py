"""The protocol of every model: an estimator is fitted on a fold and gives a risk model."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, cast

from survfuse._errors import ConfigError
from survfuse._registry import Registry
from survfuse._storage import sha256_file
from survfuse._types import AnyArray, FloatArray, IntArray, State
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.splits import inner_folds
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators.blocks import Block
from survfuse.estimators.fold_context import FoldContext
from survfuse.estimators.model_parts import ModelParts
from survfuse.models.fusion import FUSIONS
from survfuse.survival.degrees_of_freedom import Effective
from survfuse.training import Source

ESTIMATORS: Registry[Estimator] = Registry("estimator", group="survfuse.estimators")

NETWORK = "network"
"""The estimator of every fusion that networks have."""


class Patients(Source, Protocol):
    """Prepared patients: a :class:`BatchSource`, or a copy with other inputs."""

    def __len__(self) -> int: ...

    def blocks(self) -> dict[str, Block]:
        """One vector per patient and modality, and who has it."""
        ...

    def read_by(self, transforms: Transforms) -> Patients:
        """The same patients by other transforms."""
        ...


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A risk model as a bundle holds it.

    Attributes
    ----------
    state : mapping
        From JSON.
    arrays : mapping of name to array
    transforms : Transforms
        Of the same bundle; what the model reads must fit them.
    config : FitConfig
    """

    state: Mapping[str, Any]
    arrays: Mapping[str, AnyArray]
    transforms: Transforms
    config: FitConfig

    def part(self, prefix: str) -> dict[str, AnyArray]:
        """Arrays whose names have a prefix, by the rest of the name."""
        arrays = {}
        for name, array in self.arrays.items():
            if name.startswith(prefix):
                arrays[name.removeprefix(prefix)] = array
        return arrays


class RiskModel(ABC):
    """Prepared patients in, log-risks out; it can be written to and read from a bundle."""

    ranks_patients: ClassVar[bool] = True
    """Whether risks can differ between patients."""

    @abstractmethod
    def log_risk(self, source: Patients) -> FloatArray:
        """Log-risk of every patient of `source`; (patients,)."""

    def parts(self, transforms: Transforms) -> ModelParts:
        """Take the model apart, so that its log-risks can be explained.

        Parameters
        ----------
        transforms : Transforms
            Of the same fit.

        Raises
        ------
        ConfigError
            When this kind of model does not say what it reads of each modality.
        """
        raise ConfigError(
            f"{type(self).__name__} does not say what it reads of each modality, so its risks "
            "cannot be explained; give it the method `parts` (docs/extending.md)",
        )

    @abstractmethod
    def state(self) -> State:
        """Everything that :meth:`from_state` needs."""

    @classmethod
    @abstractmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Make the model again from :meth:`state`.

        Raises
        ------
        InputError
            When the arrays do not fit each other or what the transforms give.
        """


@dataclass(frozen=True, eq=False)
class Fit:
    """What an estimator gives for its training patients.

    Attributes
    ----------
    model : RiskModel
    source : BatchSource
        All training patients, transformed.
    in_sample : array, (patients,)
        Log-risk of each training patient by the model.
    out_of_fold : array, (patients,), or None
        By fits that did not see the patient's inner fold.
    inner : array of int, (patients,)
        Inner fold of each; 0 of all where `out_of_fold` is a mean over several divisions, each
        centred in its folds.
    effective : Effective
        Effective parameters of the model.
    parameters : int or None
    epochs : tuple of int
        Of each trained network.
    details : mapping
        Of this kind of model, for the summary: plain values.
    """

    model: RiskModel
    transforms: Transforms
    source: BatchSource
    in_sample: FloatArray
    out_of_fold: FloatArray | None
    inner: IntArray
    effective: Effective
    parameters: int | None = None
    epochs: tuple[int, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


class Estimator(ABC):
    """Fits a risk model on training patients; its subclasses are in :data:`ESTIMATORS`.

    Another package adds one in one file (``docs/extending.md``).

    Parameters
    ----------
    config : FitConfig
    """

    model: ClassVar[type[RiskModel]]
    """What :meth:`fit` gives; reads its state."""
    trains_epochs: ClassVar[bool] = False
    """Whether the number of epochs is chosen."""

    def __init__(self, config: FitConfig) -> None:
        self.config = config

    @abstractmethod
    def fit(self, fold: FoldContext) -> Fit:
        """Fit on the training patients of a fold."""

    def inner(self, fold: FoldContext) -> IntArray:
        """Inner fold of each training patient, that of the fold where it has them; (patients,)."""
        if fold.inner is not None:
            return fold.inner
        count = self.inner_count(fold)
        return inner_folds(fold.event, count, self.config.training.seed)

    def inner_count(self, fold: FoldContext) -> int:
        """How many inner folds :meth:`inner` draws."""
        return self.config.selection.folds

    def seed_count(self) -> int:
        """How many seeds a fit uses, from that of its configuration on."""
        return self.config.training.members

    def out_of_fold(self, fold: FoldContext) -> tuple[FloatArray, tuple[int, ...]]:
        """Out-of-fold log-risks (patients,), and epochs, by which a search compares values."""
        fit = self.fit(fold)
        assert fit.out_of_fold is not None
        return fit.out_of_fold, fit.epochs


def make_estimator(config: FitConfig) -> Estimator:
    """Make the estimator that a configuration names (see :func:`estimator_name`)."""
    return ESTIMATORS.build(estimator_name(config), config)


def model_class(config: FitConfig) -> type[RiskModel]:
    """Kind of model that the estimator of a configuration gives."""
    return cast(type[Estimator], ESTIMATORS[estimator_name(config)].build).model


def foreign_code(config: FitConfig) -> str:
    """Hash of each file that holds an estimator or fusion of another package; empty for ours.

    Part of the key of whatever is stored of a fit, so that it is fitted again when that
    package changes. The terms of a stack count, too.
    """
    used = (config, *config.term_configs().values())
    return " ".join(filter(None, map(_foreign_file, used)))


def _foreign_file(config: FitConfig) -> str:
    name = estimator_name(config)
    build = FUSIONS[config.fusion].build if name == NETWORK else ESTIMATORS[name].build
    if build.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return ""
    return sha256_file(Path(inspect.getfile(build)))


def estimator_name(config: FitConfig) -> str:
    """Name of the estimator in `fusion`, or ``network`` where `fusion` is one of networks.

    Raises
    ------
    ConfigError
        When neither an estimator nor a fusion has this name.
    """
    name = config.fusion
    if name in ESTIMATORS and name != NETWORK:
        return name
    if name not in FUSIONS:
        known = ", ".join(sorted({*ESTIMATORS, *FUSIONS} - {NETWORK}))
        raise ConfigError(f"unknown fusion {name!r}; known: {known}")
    return NETWORK
