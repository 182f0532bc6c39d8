"""Whatever is learned from data on its way to a network, learned from training patients only.

The one door: fit it on the training patients of a fold, apply it to anyone, save it
with the model. What it had to assume about a patient is reported, never silent.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from survfuse._errors import ConfigError, LeakageError, TransformError, context, listed
from survfuse._storage import stored_texts
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.modalities import BagData, ExpressionData, ModalityData, TableData
from survfuse.cohort.problems import allowing
from survfuse.cohort.transform_bags import BagScaler
from survfuse.cohort.transform_expression import ExpressionTransform
from survfuse.cohort.transform_tables import REPORT_COLUMNS, Remark, TableTransform
from survfuse.config import PARAMETERS, FitConfig

VERSION = 1
TABLES = ("clinical", "table")
REMEMBERED = (
    24  # fits: those of one outer fold with five inner ones, for four modalities
)
LEARNED_BY = tuple(
    name for name in PARAMETERS if name.startswith(("expression_", "bag_"))
)

Fitted = TableTransform | ExpressionTransform | BagScaler


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
    coverage : mapping of expression modality to array, (patients,)
        Share of the training genes that each patient has; NaN where absent.
    report : DataFrame
        `patient_id, modality, feature, kind, detail`: every value that was imputed
        without an indicator, unseen category, value far outside the training range,
        and every patient with missing genes.
    """

    patients: tuple[str, ...]
    vectors: Mapping[str, npt.NDArray[np.float32]]
    present: Mapping[str, npt.NDArray[np.bool_]]
    coverage: Mapping[str, npt.NDArray[np.float64]]
    report: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Transforms:
    """Fitted transforms of every modality used.

    Attributes
    ----------
    fitted : mapping of modality to TableTransform, ExpressionTransform or BagScaler
        In the order of the cohort's modalities.
    unseen : mapping of modality to tuple of int
        Of bundles that older versions wrote: features that were zero for every training patient
        (an "unknown" category that training never had). Weights on them learned nothing, so they
        stay zero.
    """

    fitted: Mapping[str, Fitted]
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
        refuse_leaks(cohort, config.allow_followup, only=names)
        genes = config.model_copy(update={"expression_components": None})
        events = _with_event(cohort, train)
        fitted = {
            name: _remembered(
                cohort.modalities[name],
                train,
                events,
                genes if name in as_genes else config,
            )
            for name in names
        }
        return cls(fitted)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.fitted)

    @property
    def bag_scaler(self) -> dict[str, BagScaler]:
        """Scalers of the bag modalities, by name."""
        return {
            name: one for name, one in self.fitted.items() if isinstance(one, BagScaler)
        }

    @property
    def blanks(self) -> dict[str, dict[int, tuple[int, ...]]]:
        """Of each table, the features that say that a cell is missing (`TableTransform.blanks`)."""
        return {
            name: one.blanks
            for name, one in self.fitted.items()
            if isinstance(one, TableTransform)
        }

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each modality: clinical, table, expression or bag."""
        return {name: _kind(one) for name, one in self.fitted.items()}

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
        return {
            name: one.members
            for name, one in self.fitted.items()
            if isinstance(one, ExpressionTransform) and one.set_names
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """What was dropped or could not be had in training."""
        vectors = [
            one for one in self.fitted.values() if not isinstance(one, BagScaler)
        ]
        return tuple(note for one in vectors for note in one.notes)

    def apply(self, cohort: Cohort, patients: Iterable[str] | None = None) -> Prepared:
        """Turn patients into vectors.

        Parameters
        ----------
        cohort : Cohort
            Any cohort; a modality that it lacks is absent for everyone.
        patients : iterable of str, optional
            Rows of the result, in this order; all of the cohort's where not given.

        Raises
        ------
        TransformError
            When a modality has another meaning than in training (unit, gene ids,
            encoder, width, levels, columns), or a patient has too few genes.
        """
        ids = cohort.patients if patients is None else cohort.check_patients(patients)
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        present: dict[str, npt.NDArray[np.bool_]] = {}
        coverage: dict[str, npt.NDArray[np.float64]] = {}
        remarks: list[Remark] = []
        for name, one in self.fitted.items():
            data = _same_kind(name, one, cohort)
            has = np.isin(
                np.array(ids, dtype=object),
                np.array(data.patients if data else (), dtype=object),
            )
            present[name] = has
            if isinstance(one, BagScaler):
                continue
            vectors[name] = np.zeros((len(ids), len(one.features)), np.float32)
            chosen = [patient for patient, there in zip(ids, has, strict=True) if there]
            if isinstance(one, ExpressionTransform):
                coverage[name] = np.full(len(ids), np.nan)
            if not chosen:
                continue
            if isinstance(one, ExpressionTransform) and isinstance(
                data,
                ExpressionData,
            ):
                vectors[name][has], coverage[name][has], found = one.apply(data, chosen)
            elif isinstance(one, TableTransform) and isinstance(data, TableData):
                vectors[name][has], found = one.apply(data, chosen)
                vectors[name][:, list(self.unseen.get(name, ()))] = (
                    0  # no weight has learned to read them
                )
            remarks.extend(found)
        report = pd.DataFrame(remarks, columns=list(REPORT_COLUMNS))
        return Prepared(tuple(ids), vectors, present, coverage, report)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Everything learned: JSON and arrays, named ``modality/array``."""
        modalities = []
        tensors: dict[str, npt.NDArray[Any]] = {}
        for name, one in self.fitted.items():
            arrays: dict[str, npt.NDArray[Any]] = {}
            if isinstance(one, TableTransform):
                about = one.state()
            else:
                about, arrays = one.state()
            modalities.append(
                {
                    "kind": _kind(one),
                    "unseen": list(self.unseen.get(name, ())),
                    "state": about,
                },
            )
            tensors |= {f"{name}/{part}": array for part, array in arrays.items()}
        return {"version": VERSION, "modalities": modalities}, tensors

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        tensors: Mapping[str, npt.NDArray[Any]],
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
        owned: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for key, array in tensors.items():
            name, _, part = key.rpartition("/")
            owned.setdefault(name, {})[part] = array
        fitted: dict[str, Fitted] = {}
        unseen: dict[str, tuple[int, ...]] = {}
        for entry in state["modalities"]:
            (name,) = stored_texts([entry["state"]["name"]], "name")
            if name in fitted:
                raise TransformError(
                    f"transforms: modality {name!r} stands there twice",
                )
            with context(f"modality {name!r}"):
                fitted[name] = _restored(
                    entry["kind"],
                    entry["state"],
                    owned.get(name, {}),
                )
            if entry["unseen"]:
                unseen[name] = _features(entry["unseen"], len(fitted[name].features))
        return cls(fitted, unseen)


def _features(places: list[int], width: int) -> tuple[int, ...]:
    if not all(type(place) is int and 0 <= place < width for place in places):
        raise TransformError(f"unseen: expected whole numbers from 0 to {width - 1}")
    return tuple(places)


def _restored(
    kind: str,
    state: dict[str, Any],
    arrays: dict[str, npt.NDArray[Any]],
) -> Fitted:
    if kind == "bag":
        return BagScaler.from_state(state, arrays)
    if kind == "expression":
        return ExpressionTransform.from_state(state, arrays)
    if kind not in TABLES or state["kind"] != kind:
        raise TransformError(
            f"expected kind bag, expression, {' or '.join(TABLES)}, got {kind!r}",
        )
    return TableTransform.from_state(state)


_DATA: dict[type, type] = {
    TableTransform: TableData,
    ExpressionTransform: ExpressionData,
    BagScaler: BagData,
}


def _kind(one: Fitted) -> str:
    if isinstance(one, TableTransform):
        return one.kind
    return "bag" if isinstance(one, BagScaler) else "expression"


def _chosen(cohort: Cohort, config: FitConfig) -> tuple[str, ...]:
    """Modalities to use, in the cohort's order."""
    known = tuple(cohort.modalities)
    if config.modalities is None:
        return known
    unknown = [name for name in config.modalities if name not in known]
    if unknown or not config.modalities:
        raise ConfigError(
            f"modalities: cohort {cohort.name!r} has {listed(known, 20)}, "
            f"got {listed(unknown) or 'an empty list'}",
        )
    return tuple(name for name in known if name in config.modalities)


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
    unknown = [name for name in config.allow_followup if not _is_input(name, cohort)]
    if unknown:
        raise ConfigError(
            f"allow_followup: no input is called {listed(map(repr, unknown))}",
        )
    for data in (cohort.modalities[name] for name in names):
        late = [name for name in _late(data) if name not in config.allow_followup]
        if late:
            raise LeakageError(
                f"{data.name}: {listed(map(repr, late), 20)} accrue during follow-up, so patients with an "
                "early event have less of them: the outcome leaks into the input. Say `use: false` of "
                f"them in the cohort file, or allow them, which leaks: `{allowing(late)}`",
            )


def _is_input(name: str, cohort: Cohort) -> bool:
    """Whether a modality, a column of a table or a gene is called so."""
    tables = [
        data for data in cohort.modalities.values() if isinstance(data, TableData)
    ]
    matrices = [
        data for data in cohort.modalities.values() if isinstance(data, ExpressionData)
    ]
    return (
        name in cohort.modalities
        or any(name in data.columns for data in tables)
        or any(name in data.expression.genes for data in matrices)
    )


def _late(data: ModalityData) -> list[str]:
    """Columns that a model would read and that are declared as known only during follow-up."""
    columns = data.columns if isinstance(data, TableData) else {}
    return [
        name
        for name, column in columns.items()
        if column.use and column.known == "followup"
    ]


def _with_event(cohort: Cohort, train: tuple[str, ...]) -> frozenset[str] | None:
    """Those of the training patients who have the event; None where an outcome is not known."""
    if cohort.outcome is None:
        return None
    event = cohort.outcome["event"].reindex(list(train))
    return None if event.isna().any() else frozenset(event.index[event.astype(bool)])


def _remembered(
    data: ModalityData,
    train: tuple[str, ...],
    events: frozenset[str] | None,
    config: FitConfig,
) -> Fitted:
    """Fit, or recall the same fit: the models of one fold learn from the same patients again and again."""
    learned_by = tuple(repr(getattr(config, name)) for name in LEARNED_BY)
    key = (id(data), train, events, learned_by, repr(config.identity().get("files")))
    known = _FITTED.get(key)
    if known is not None and known[0]() is data:
        _FITTED.move_to_end(key)
        return known[1]
    made = _fit_one(data, train, events, config)
    _FITTED[key] = (weakref.ref(data), made)
    if len(_FITTED) > REMEMBERED:
        _FITTED.popitem(last=False)
    return made


_FITTED: OrderedDict[tuple[Any, ...], tuple[weakref.ref[ModalityData], Fitted]] = (
    OrderedDict()
)


def _fit_one(
    data: ModalityData,
    train: tuple[str, ...],
    events: frozenset[str] | None,
    config: FitConfig,
) -> Fitted:
    has = set(data.patients)
    chosen = [patient for patient in train if patient in has]
    if not chosen:
        raise TransformError(
            f"{data.name}: none of the {len(train)} training patients has this modality (those who have it "
            "may all lie in one inner fold); leave it out (`modalities`) or train on other patients",
        )
    if isinstance(data, TableData):
        columns = [name for name, column in data.columns.items() if column.use]
        event = (
            None
            if events is None
            else np.array([patient in events for patient in chosen])
        )
        return TableTransform.fit(data, chosen, columns, event)
    if isinstance(data, ExpressionData):
        return ExpressionTransform.fit(data, chosen, config)
    return BagScaler.fit(
        data,
        chosen,
        scaling=config.bag_scaling,
        components=config.bag_components,
    )


def _same_kind(name: str, one: Fitted, cohort: Cohort) -> ModalityData | None:
    """Return the cohort's data of a modality, refusing another meaning; None where it lacks the modality."""
    data = cohort.modalities.get(name)
    if data is None:
        return None
    if not isinstance(data, _DATA[type(one)]):
        raise TransformError(
            f"modality {name!r} was of kind {_kind(one)} in training, this cohort has {data.kind}",
        )
    check: Callable[[Any], None] = one.check
    check(data)
    return data
