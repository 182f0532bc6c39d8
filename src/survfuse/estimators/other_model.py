"""Models of other packages on our folds: anything with ``fit(X, y)`` and ``predict(X)``.

X is one table made of the modalities by our transforms, fitted on the training patients of a
fold; y is a structured array of `event` and `time`, as scikit-survival wants it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import CodeType, FunctionType
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import clone

from survfuse._errors import ConfigError, InputError, TransformError
from survfuse._storage import sha256_text
from survfuse._types import BoolArray, FloatArray, State
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.rows import structured_outcome
from survfuse.cohort.transforms import Transforms
from survfuse.config import PARAMETERS, FitConfig
from survfuse.estimators.base import Estimator, Fit, Patients, RiskModel, StoredModel
from survfuse.estimators.blocks import Blocks, Components, centred
from survfuse.estimators.fold_context import FoldContext
from survfuse.estimators.linear_cox import BAG_COMPONENTS, inner_fold_count
from survfuse.fit_summary import SMALLEST_DEVIATION
from survfuse.survival.calibration import centred_in_folds
from survfuse.survival.degrees_of_freedom import Effective

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
OTHER_ERRORS = (ValueError, TypeError, ArithmeticError, SystemExit)
"""By which estimators refuse data, or say that they do not converge; or would end the program."""
NO_FOLD = -1
"""Inner fold of nobody."""


class OtherModel:
    """An estimator of another package, and what it reads of the patients.

    Parameters
    ----------
    estimator : object
        With ``fit(X, y)`` and ``predict(X)``, such as those of scikit-survival: X is a
        DataFrame (patients, features), y a structured array of `event` and `time`. What it
        predicts is a risk, larger for earlier events; regressions of time of scikit-survival,
        which say that they are, count with their sign changed.
    **inputs
        Input parameters of :class:`survfuse.SurvivalFusion`, such as ``modalities=("clinical",)``
        or ``expression_components=None`` for the genes themselves.

    Notes
    -----
    Clinical variables and tables are encoded and standardised, expression is principal
    components of log z-scores, a bag the components of its mean tile. A missing modality stands
    at the training mean, and a column marks it where training patients lack it.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> OtherModel(DummyRegressor(), modalities=("clinical",))
    OtherModel(DummyRegressor(), modalities=('clinical',))
    """

    def __init__(self, estimator: Any, **inputs: Any) -> None:
        for method in ("fit", "predict"):
            if not callable(getattr(estimator, method, None)) or isinstance(
                estimator, type
            ):
                raise ConfigError(
                    f"expected an estimator with fit(X, y) and predict(X), got {estimator!r}",
                )
        known = [
            name for name, path in PARAMETERS.items() if path.startswith("inputs.")
        ]
        unknown = sorted(set(inputs) - {*known, "seed"})
        if unknown:
            raise ConfigError(
                f"OtherModel: {unknown[0]!r} is no input parameter; known: {', '.join(known)}; "
                "parameters of the estimator itself are given to it",
            )
        self.estimator, self.inputs = estimator, inputs
        self.config = FitConfig.of(fusion="ridge_cox", device="cpu", **inputs)

    def __repr__(self) -> str:
        inputs = "".join(f", {name}={value!r}" for name, value in self.inputs.items())
        return f"OtherModel({self.estimator!r}{inputs})"

    @property
    def name(self) -> str:
        """Name of the estimator's class."""
        return type(self.estimator).__name__

    def with_inputs(self, **inputs: Any) -> OtherModel:
        """The same estimator; `inputs` count where it was given no others."""
        return OtherModel(self.estimator, **{**inputs, **self.inputs})

    def identity(self) -> dict[str, Any]:
        """Class, every parameter, and code of these, as plain values."""
        kind, parameters = type(self.estimator), self.parameters()
        # Of a pipeline or search, the estimators in it are parameters.
        parts = {type(one) for one in parameters.values() if hasattr(one, "fit")}
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "code": ", ".join([_code(kind), *sorted(map(_code, parts - {kind}))]),
            "parameters": {n: _plain(v) for n, v in sorted(parameters.items())},
        }

    def parameters(self) -> dict[str, Any]:
        """Parameters of the estimator; of one that does not say them, its attributes."""
        if hasattr(self.estimator, "get_params"):
            return dict(self.estimator.get_params())
        return dict(vars(self.estimator))

    def is_random(self) -> bool:
        """Whether it draws other numbers each time it is fitted."""
        parameters = self.parameters()
        return parameters.get("random_state", 0) is None

    def fresh(self) -> Any:
        """A copy of the estimator that has learned nothing."""
        if hasattr(self.estimator, "get_params"):
            return clone(self.estimator)
        return copy.deepcopy(self.estimator)


def _code(kind: type) -> str:
    """Version of the package that a class is of, or hash of the code of a class of the user."""
    try:
        package = packages_distributions()[kind.__module__.partition(".")[0]][0]
        return f"{package} {version(package)}"
    except (KeyError, PackageNotFoundError):
        pass
    methods = []
    for parent in kind.__mro__:
        for name, attribute in sorted(vars(parent).items()):
            value = getattr(attribute, "__func__", attribute)  # of a class method
            if isinstance(value, FunctionType):
                methods.append((parent.__qualname__, name, _compiled(value.__code__)))
    return sha256_text(repr(methods))


def _compiled(code: CodeType) -> tuple[Any, ...]:
    """What a function does, also where its text is not kept, as in notebooks."""
    constants: list[Any] = []
    for one in code.co_consts:
        if isinstance(one, CodeType):
            constants.append(_compiled(one))
        else:  # the order of a set differs from process to process
            constants.append(
                sorted(map(repr, one)) if isinstance(one, frozenset) else repr(one)
            )
    return code.co_code, code.co_names, constants


def _plain(value: Any) -> Any:
    """A parameter as JSON can hold it, the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
        value = value.to_numpy()
    if isinstance(value, np.ndarray):
        return sha256_text(repr((value.dtype.str, value.tolist())))
    if isinstance(value, FunctionType):
        return sha256_text(repr(_compiled(value.__code__)))
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return ADDRESS.sub("", repr(value))


@dataclass(frozen=True, eq=False)
class Columns:
    """One table of all modalities, as it was fitted on training patients.

    Attributes
    ----------
    names : tuple of str, (features,)
        Such as ``clinical: age``.
    centre : mapping of modality to array, (features,)
        Mean of each input over the training patients who have the modality.
    axes : mapping of bag to array, (features, components)
    marked : tuple of str
        Modalities that some training patients lack: a column says who does.
    """

    names: tuple[str, ...]
    centre: Mapping[str, FloatArray]
    axes: Mapping[str, FloatArray]
    marked: tuple[str, ...]

    @classmethod
    def fit(cls, blocks: Blocks, transforms: Transforms) -> Columns:
        """Fit centres and components to the training patients."""
        names: list[str] = []
        centre, axes, marked = {}, {}, []
        for modality, (x, has) in blocks.items():
            if not has.any():
                continue
            centre[modality] = x[has].mean(axis=0)
            features = transforms.feature_names[modality]
            if modality in transforms.bag_scaler:
                axes[modality] = Components.fit(x[has], BAG_COMPONENTS).standard
                features = tuple(
                    f"component {n + 1}" for n in range(axes[modality].shape[1])
                )
            names += [f"{modality}: {feature}" for feature in features]
            if not has.all():
                marked.append(modality)
                names.append(f"{modality}: absent")
        return cls(tuple(names), centre, axes, tuple(marked))

    def table(
        self,
        blocks: Blocks,
        ids: tuple[str, ...],
    ) -> pd.DataFrame:
        """The table of some patients, (patients, features)."""
        parts = []
        for modality, centre in self.centre.items():
            x, has = blocks[modality]
            part = centred((x, has), centre)
            if modality in self.axes:
                part = part @ self.axes[modality]
            parts.append(part)
            if modality in self.marked:
                parts.append((~has[:, None]).astype(np.float64))
        values = np.concatenate(parts, axis=1, dtype=np.float64)
        return pd.DataFrame(
            values, index=pd.Index(ids, name="patient_id"), columns=self.names
        )


@dataclass(frozen=True, eq=False)
class OtherRisk(RiskModel):
    """Risks of a fitted estimator of another package.

    Attributes
    ----------
    estimator : object
    columns : Columns
    centre, scale : float
        A risk less `centre`, in units of `scale`, is the log-risk.
    """

    estimator: Any
    columns: Columns
    centre: float = 0.0
    scale: float = 1.0

    def log_risk(self, source: Patients) -> FloatArray:
        """Risk above the training mean, in deviations of the out-of-fold risks; (patients,)."""
        ids = tuple(source.patients)  # type: ignore[attr-defined]
        risk = predicted_risk(self.estimator, self.columns.table(source.blocks(), ids))
        return np.asarray((risk - self.centre) / self.scale)

    def state(self) -> State:
        """Refuse: only the package that it is of can store it."""
        raise ConfigError(
            f"{type(self.estimator).__name__} cannot be written to a bundle"
        )

    @classmethod
    def from_state(cls, stored: StoredModel) -> Self:
        """Refuse."""
        raise ConfigError("a model of another package is in no bundle")


def predicted_risk(estimator: Any, table: pd.DataFrame) -> FloatArray:
    """What an estimator predicts, larger for earlier events; (patients,).

    Raises
    ------
    TransformError
        When it fails, or gives no finite number for each patient.
    """
    name = type(estimator).__name__
    try:
        risk = np.asarray(estimator.predict(table), dtype=np.float64)
    except OTHER_ERRORS as error:
        raise TransformError(f"{name}.predict: {error}") from error
    if risk.shape != (len(table),):
        raise TransformError(
            f"{name}.predict: expected a risk for each of {len(table)} patients, got an array of "
            f"shape {risk.shape}",
        )
    if not np.isfinite(risk).all():
        raise TransformError(
            f"{name}.predict gave {(~np.isfinite(risk)).sum()} values that are "
            "not finite; look at its settings, or take fewer features"
        )
    # So regressions of scikit-survival say that they predict a time.
    return risk if getattr(estimator, "_predict_risk_score", True) else -risk


class OtherEstimator(Estimator):
    """Fits an estimator of another package on a fold, as our own are fitted.

    Parameters
    ----------
    config : FitConfig
        Of which the inputs and the seed are read.
    other : OtherModel
    """

    model: ClassVar[type[RiskModel]] = OtherRisk

    def __init__(self, config: FitConfig, other: OtherModel) -> None:
        super().__init__(config)
        self.other = other

    def fit(self, fold: FoldContext) -> Fit:
        """Fit on all training patients, and on all inner folds but one for each."""
        inner = self.inner(fold)
        out_of_fold = np.empty(len(fold.ids))
        for number in (*np.unique(inner), NO_FOLD):  # the last fit is that of everyone
            held = inner == number
            model, transforms, source = self._fit(fold, ~held)
            if held.any():
                other = BatchSource(fold.cohort, transforms, fold.patients(held))
                out_of_fold[held] = model.log_risk(other)
        in_sample = model.log_risk(source)
        spread = float(centred_in_folds(out_of_fold, inner, len(fold.ids)).std())
        scale = spread if spread > 0 else 1.0
        centre = float(in_sample.mean())
        constant = float(in_sample.std()) <= SMALLEST_DEVIATION * scale
        return Fit(
            OtherRisk(model.estimator, model.columns, centre, scale),
            transforms,
            source,
            (in_sample - centre) / scale,
            (out_of_fold - centre) / scale,
            inner,
            Effective(None, "not computable: a model of another package"),
            details={
                "estimator": self.other.identity(),
                "features": len(model.columns.names),
                "constant": constant,
            },
        )

    def inner_count(self, fold: FoldContext) -> int:
        """As many as these patients can fill."""
        return inner_fold_count(fold.event)

    def _fit(
        self,
        fold: FoldContext,
        rows: BoolArray,
    ) -> tuple[OtherRisk, Transforms, BatchSource]:
        """Fit transforms and estimator on some of the training patients."""
        ids = fold.patients(rows)
        transforms = Transforms.fit(fold.cohort, ids, self.config)
        source = BatchSource(fold.cohort, transforms, ids)
        blocks = source.blocks()
        columns = Columns.fit(blocks, transforms)
        estimator = self.other.fresh()
        y = structured_outcome(fold.event[rows], fold.time[rows])
        try:
            fitted = estimator.fit(columns.table(blocks, ids), y)
        except OTHER_ERRORS as error:
            raise InputError(
                f"{self.other.name}.fit: {error}; it gets a table of {len(columns.names)} numbers "
                "a patient and a structured array of event and time",
            ) from error
        return (
            OtherRisk(estimator if fitted is None else fitted, columns),
            transforms,
            source,
        )
