"""Whatever is learned from data on its way to a network, learned from training patients only.

Fit the transforms on the training patients of a fold, apply them to anyone, save them with the
model. What they had to assume about a patient is reported, never silent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from survfuse._errors import ConfigError, LeakageError, TransformError, context, listed
from survfuse._storage import stored_texts, to_json
from survfuse._types import AnyArray, Arrays, BoolArray, Float32Array, FloatArray, State
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.members import among, without
from survfuse.cohort.modalities import (
    ExpressionData,
    ModalityData,
    PriorData,
    TableData,
)
from survfuse.cohort.problems import allowing
from survfuse.cohort.transform_bags import BagScaler
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.cohort.transform_prior import GeneRisk, PriorTransform
from survfuse.cohort.transform_tables import (
    REPORT_COLUMNS,
    Remark,
    TableTransform,
)
from survfuse.config import PARAMETERS, FitConfig

VERSION = 1
READ_AS_VECTORS = (ExpressionTransform, TableTransform, PriorTransform)
REMEMBERED = 16  # fits of one modality: those of an outer fold, and of five inner ones three times
LEARNED_BY = tuple(
    name for name in PARAMETERS if name.startswith(("expression_", "bag_"))
)
T = TypeVar("T")


class Transform(Protocol):
    """What is learned of one modality."""

    @property
    def name(self) -> str:
        """The modality."""

    @property
    def kind(self) -> str:
        """One of `KINDS`."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what comes out."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was dropped or could not be learned."""

    def check(self, data: Any) -> None:
        """Refuse data of another meaning than in training."""

    def state(self) -> State:
        """Everything learned: JSON and arrays."""

    @classmethod
    def from_state(
        cls,
        state: dict[str, Any],
        arrays: Arrays,
    ) -> Transform:
        """Make the transform again from :meth:`state`."""


KINDS: Mapping[str, type[Transform]] = {
    "clinical": TableTransform,
    "table": TableTransform,
    "expression": ExpressionTransform,
    "bag": BagScaler,
    "prior": PriorTransform,
}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Patients as vectors.

    Attributes
    ----------
    patients : tuple of str
    vectors : mapping of modality to array, (patients, features) float32
        Zeros where the modality is absent.
    present : mapping of modality to array, (patients,) bool
        Vector and bag modalities of the transforms.
    coverage : mapping of expression modality or prior to array, (patients,)
        Share of the training genes that each patient has, of a prior by their squared weights;
        NaN where absent.
    report : DataFrame
        `patient_id, modality, feature, kind, detail`: every value that was imputed
        without an indicator, unseen category, value far outside the training range,
        and every patient with missing genes.
    """

    patients: tuple[str, ...]
    vectors: Mapping[str, Float32Array]
    present: Mapping[str, BoolArray]
    coverage: Mapping[str, FloatArray]
    report: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Transforms:
    """Fitted transforms of every modality used.

    Attributes
    ----------
    fitted : mapping of modality to Transform
        In the order of the cohort's modalities.
    unseen : mapping of modality to tuple of int
        Of bundles that older versions wrote: features that were zero for every training patient
        (an "unknown" category that training never had). Weights on them learned nothing, so they
        stay zero.
    """

    fitted: Mapping[str, Transform]
    unseen: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        cohort: Cohort,
        patients: Iterable[str],
        config: FitConfig,
        *,
        as_genes: Collection[str] = (),
    ) -> Transforms:
        """Learn from the training patients.

        Parameters
        ----------
        cohort : Cohort
            Nothing is learned from its other patients; an input that is their outcome is refused.
        patients : iterable of str
            Training patients; their order does not matter.
        config : FitConfig
            Its input section: modalities, allow_followup, expression_*, bag_scaling.
        as_genes : collection of str
            Expression modalities whose genes are wanted, whatever `expression_components` says.

        Raises
        ------
        LeakageError
            When a column that is known only during follow-up, or whose content is the
            outcome, would be an input.
        ConfigError
            When `modalities` or `allow_followup` name something unknown.
        TransformError
            When a modality has no training patient or nothing usable.
        """
        train = tuple(sorted(cohort.check_patients(patients)))
        names = _chosen(cohort, config)
        check_followup(cohort, config, names)
        refuse_leaks(cohort, config.inputs.allow_followup, only=names)
        genes = config.model_copy(update={"expression_components": None})
        events = _with_event(cohort, train)
        fitted = {}
        for name in names:
            own = genes if name in as_genes else config
            fitted[name] = _fit_once(cohort.modalities[name], train, events, own)
        return cls(fitted)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.fitted)

    @property
    def bag_scaler(self) -> dict[str, BagScaler]:
        """Scalers of the bag modalities, by name."""
        return _of_type(BagScaler, self.fitted)

    @property
    def priors(self) -> dict[str, PriorTransform]:
        """Transforms of the priors, by name."""
        return _of_type(PriorTransform, self.fitted)

    @property
    def blanks(self) -> dict[str, dict[int, tuple[int, ...]]]:
        """Of each table, the features that say that a cell is missing (`TableTransform.blanks`)."""
        tables = _of_type(TableTransform, self.fitted)
        return {name: one.blanks for name, one in tables.items()}

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each modality: clinical, table, expression, bag or prior."""
        return {name: one.kind for name, one in self.fitted.items()}

    @property
    def feature_names(self) -> dict[str, tuple[str, ...]]:
        """Names of the features of each modality."""
        return {name: one.features for name, one in self.fitted.items()}

    @property
    def dims(self) -> dict[str, int]:
        """Number of features of each modality."""
        return {name: len(one.features) for name, one in self.fitted.items()}

    @property
    def gene_sets(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Features of each gene set, of expression modalities whose sets a network is to weigh."""
        matrices = _of_type(ExpressionTransform, self.fitted)
        return {name: one.members for name, one in matrices.items() if one.set_names}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was dropped or could not be had in training."""
        notes: list[str] = []
        for one in self.fitted.values():
            notes += one.notes
        return tuple(notes)

    @property
    def _computed(self) -> dict[str, GeneRisk]:
        """How the risk of each prior with genes is computed."""
        risks = {}
        for name, one in self.priors.items():
            if one.genes is not None:
                risks[name] = one.genes
        return risks

    def with_priors(self, cohort: Cohort) -> Cohort:
        """Give a cohort the priors that it does not name and whose expression modality it has."""
        added = {}
        for name, risk in self._computed.items():
            source = cohort.modalities.get(risk.modality)
            if name not in cohort.modalities and isinstance(source, ExpressionData):
                added[name] = PriorData.of_genes(name, risk.prior, source)
        if not added:
            return cohort
        return replace(cohort, modalities={**cohort.modalities, **added})

    def known_to_priors(self, cohort: Cohort, ids: Sequence[str]) -> BoolArray:
        """Whether a prior that is read was learned from each patient; (patients,)."""
        known: set[str] = set()
        for name, prior in self.priors.items():
            data = cohort.modalities.get(name)
            if isinstance(data, PriorData):
                known.update(prior.learned_from(data, ids))
        return np.array([patient in known for patient in ids], dtype=bool)

    def apply(
        self,
        cohort: Cohort,
        patients: Iterable[str] | None = None,
    ) -> Prepared:
        """Turn patients into vectors.

        Parameters
        ----------
        cohort : Cohort
            Any cohort; a modality that it lacks is absent for everyone. A prior is computed from
            its expression modality, whether the cohort names the prior or not.
        patients : iterable of str, optional
            Rows of the result, in this order; all of the cohort's where not given.

        Raises
        ------
        TransformError
            When a modality has another meaning than in training (unit, gene ids,
            encoder, width, levels, columns), or a patient has too few genes.
        """
        ids = cohort.patients if patients is None else cohort.check_patients(patients)
        cohort = self.with_priors(cohort)
        index = pd.Index(ids, dtype=object)
        vectors: dict[str, Float32Array] = {}
        present: dict[str, BoolArray] = {}
        coverage: dict[str, FloatArray] = {}
        remarks: list[Remark] = []
        for name, one in self.fitted.items():
            data: Any = cohort.modalities.get(name)
            if data is not None and data.kind != one.kind:
                raise TransformError(
                    f"modality {one.name!r} was of kind {one.kind} in training, this cohort has "
                    f"{data.kind}",
                )
            if data is not None:
                one.check(data)
            has = index.isin(data.patients if data is not None else ())
            present[name] = has
            if isinstance(one, BagScaler):
                continue
            vectors[name] = np.zeros((len(ids), len(one.features)), np.float32)
            if one.kind == "expression" or name in self._computed:
                coverage[name] = np.full(len(ids), np.nan)
            if has.any() and isinstance(one, READ_AS_VECTORS):
                rows, shares, about = one.apply(data, list(index[has]))
                vectors[name][has] = rows
                if shares is not None:
                    coverage[name][has] = shares
                remarks += about
            # no weight has learned to read these
            vectors[name][:, list(self.unseen.get(name, ()))] = 0
        report = pd.DataFrame(remarks, columns=list(REPORT_COLUMNS))
        return Prepared(tuple(ids), vectors, present, coverage, report)

    def state(self) -> State:
        """Everything learned: JSON and arrays, named ``modality/array``."""
        modalities = []
        tensors: Arrays = {}
        for name, one in self.fitted.items():
            state, arrays = one.state()
            unseen = list(self.unseen.get(name, ()))
            modalities.append({"kind": one.kind, "unseen": unseen, "state": state})
            tensors |= {f"{name}/{part}": array for part, array in arrays.items()}
        return {"version": VERSION, "modalities": modalities}, tensors

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        tensors: Mapping[str, AnyArray],
    ) -> Transforms:
        """Make the transforms again from :meth:`state`; they give the same bits.

        Raises
        ------
        TransformError
            When the state is of another version.
        """
        if state.get("version") != VERSION:
            raise TransformError(
                f"transforms: expected state version {VERSION}, got {state.get('version')!r}",
            )
        owned: dict[str, Arrays] = {}
        for key, array in tensors.items():
            name, _, part = key.rpartition("/")
            owned.setdefault(name, {})[part] = array
        fitted: dict[str, Transform] = {}
        unseen: dict[str, tuple[int, ...]] = {}
        for entry in state["modalities"]:
            (name,) = stored_texts([entry["state"]["name"]], "name")
            if name in fitted:
                raise TransformError(f"transforms: modality {name!r} is listed twice")
            with context(f"modality {name!r}"):
                kind = entry["kind"]
                if kind not in KINDS or entry["state"].get("kind", kind) != kind:
                    raise TransformError(
                        f"expected kind {' or '.join(KINDS)}, got {kind!r}",
                    )
                arrays = owned.get(name, {})
                fitted[name] = KINDS[kind].from_state(entry["state"], arrays)
            if entry["unseen"]:
                places = range(len(fitted[name].features))
                if not all(type(p) is int and p in places for p in entry["unseen"]):
                    raise TransformError(
                        f"unseen: expected whole numbers from 0 to {places[-1]}",
                    )
                unseen[name] = tuple(entry["unseen"])
        return cls(fitted, unseen)


def same_transform(
    one: Transform,
    other: Transform,
) -> bool:
    """Whether two transforms turn the same data into the same bits."""
    if one is other:
        return True
    (state, arrays), (state_of_other, others) = one.state(), other.state()
    if to_json(state) != to_json(state_of_other) or arrays.keys() != others.keys():
        return False
    return all(np.array_equal(array, others[name]) for name, array in arrays.items())


def _of_type(
    kind: type[T],
    fitted: Mapping[str, Transform],
) -> dict[str, T]:
    """Transforms of one type, by modality."""
    return {name: one for name, one in fitted.items() if isinstance(one, kind)}


def _chosen(
    cohort: Cohort,
    config: FitConfig,
) -> tuple[str, ...]:
    """Modalities to use, in the cohort's order."""
    known = tuple(cohort.modalities)
    if config.inputs.modalities is None:
        return known
    unknown = without(config.inputs.modalities, known)
    if unknown or not config.inputs.modalities:
        raise ConfigError(
            f"modalities: cohort {cohort.name!r} has {listed(known, 20)}, "
            f"got {listed(unknown) or 'an empty list'}",
        )
    return tuple(among(known, config.inputs.modalities))


def check_followup(
    cohort: Cohort,
    config: FitConfig,
    names: Iterable[str] | None = None,
) -> None:
    """Refuse columns that accrue after time zero, unless each is allowed by name.

    Parameters
    ----------
    cohort : Cohort
    config : FitConfig
        Its modalities and allow_followup.
    names : iterable of str, optional
        Modalities that will be inputs; those of `config` by default.

    Raises
    ------
    LeakageError
        Names the columns and both remedies.
    ConfigError
        When `modalities` or `allow_followup` name something unknown.
    """
    names = _chosen(cohort, config) if names is None else names
    _check_allowed(cohort, config.inputs.allow_followup)
    for name in names:
        data = cohort.modalities[name]
        columns = data.inputs("followup") if isinstance(data, TableData) else []
        late = without(columns, config.inputs.allow_followup)
        if late:
            raise LeakageError(
                f"{name}: {listed(map(repr, late), 20)} accrue during follow-up, so patients with "
                "an early event have less of them: the outcome leaks into the input. Say "
                "`use: false` of them in the cohort file, or allow them, which leaks: "
                f"`{allowing(late)}`",
            )


def _check_allowed(
    cohort: Cohort,
    allowed: Collection[str],
) -> None:
    """Refuse names that are no modality, column of a table or gene."""
    unknown = set(allowed).difference(cohort.modalities)
    for data in cohort.modalities.values():
        if isinstance(data, TableData):
            unknown -= set(data.columns)
        elif isinstance(data, ExpressionData):
            unknown -= set(data.expression.genes)
    if unknown:
        names = listed(map(repr, among(allowed, unknown)))
        raise ConfigError(f"allow_followup: no input is called {names}")


def _with_event(
    cohort: Cohort,
    train: tuple[str, ...],
) -> frozenset[str] | None:
    """Those of the training patients who have the event; None where an outcome is not known."""
    if cohort.outcome is None:
        return None
    event = cohort.outcome["event"].reindex(list(train))
    return None if event.isna().any() else frozenset(event.index[event.astype(bool)])


def _fit_once(
    data: ModalityData,
    train: tuple[str, ...],
    events: frozenset[str] | None,
    config: FitConfig,
) -> Transform:
    """Fit, or take the same fit again: the models of one fold learn from the same patients.

    Fits are remembered by the data that they were learned from, the newest last.
    """
    parameters = config.parameters()
    learned_by = tuple(repr(parameters[name]) for name in LEARNED_BY)
    key = (train, events, learned_by, repr(config.identity().get("files")))
    if key in data.fits:
        fitted: Transform = data.fits.pop(key)
    else:
        fitted = _fit_one(data, train, events, config)
    data.fits[key] = fitted
    if len(data.fits) > REMEMBERED:
        del data.fits[next(iter(data.fits))]
    return fitted


def _fit_one(
    data: ModalityData,
    train: tuple[str, ...],
    events: frozenset[str] | None,
    config: FitConfig,
) -> Transform:
    chosen = among(train, data.patients)
    if not chosen:
        raise TransformError(
            f"{data.name}: none of the {len(train)} training patients has this modality (those who "
            "have it may all lie in one inner fold); leave it out (`modalities`) or train on other "
            "patients",
        )
    if isinstance(data, TableData):
        event = None if events is None else pd.Index(chosen).isin(events)
        return TableTransform.fit(data, chosen, event)
    if isinstance(data, ExpressionData):
        return ExpressionTransform.fit(data, chosen, config)
    if isinstance(data, PriorData):
        return PriorTransform.fit(data, chosen, config.inputs.expression_min_coverage)
    return BagScaler.fit(
        data,
        chosen,
        scaling=config.inputs.bag_scaling,
        components=config.inputs.bag_components,
    )
