"""The schema of a run's files: every table and record, its columns and their types.

Each class describes one row or one record. Times have the unit of the cohort, survival and
event probabilities and shares lie in [0, 1]. Fields that early versions did not write are
`NotRequired`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NotRequired, Required

import pandas as pd
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from survfuse._errors import InputError, listed

Number = float | None
Count = int | float | None
"""A number that is written as it came, whole numbers without a point."""
Text = str | None


class Ends(TypedDict, total=False):
    """A 95 % interval; None where there is none."""

    low: Number
    high: Number


class Interval(Ends):
    """A value with its interval; None where it is not computable."""

    value: Number


class NotedInterval(Interval, total=False):
    """An interval, and why there is none or how it was restricted."""

    note: Text


class EstimateRecord(NotedInterval, total=False):
    """A :class:`survfuse.survival.estimate.Estimate` as it is stored."""

    se: Number
    n: Number
    events: Number


class TimePoint(Interval):
    """AUC or Brier score (`metric`) of a model at a time; the model "km" is the null model."""

    model: Text
    metric: Text
    time: Number


class CalibrationPoint(Ends):
    """Predicted and observed probability of the event by a horizon."""

    model: Text
    horizon: Number
    predicted: Number
    observed: Number


class PredictionBin(TypedDict):
    """Number of patients whose predicted probability lies between `left` and `right`."""

    model: Text
    horizon: Number
    left: Number
    right: Number
    patients: Number


class DecisionPoint(Interval):
    """Net benefit of a strategy at a threshold probability."""

    strategy: Text
    horizon: Number
    threshold: Number


class SubgroupRow(NotedInterval):
    """A metric of a model among the patients of one level of a grouping."""

    group: Text
    level: Text
    patients: Number
    events: Number
    model: Text
    metric: Text


class AvailabilityRow(NotedInterval):
    """A metric of the model among the patients who have exactly these modalities."""

    modalities: list[str]
    patients: Number
    events: Number
    model: Text
    metric: Text


class RobustnessRow(EstimateRecord):
    """A metric of the model under one loss of inputs; `kind` "intact" is the model without it."""

    model: Text
    kind: Text
    what: Text
    nothing_left: Number
    metric: Text


class LearningCurveRow(TypedDict):
    """A metric of a model trained on so many patients, with its interval.

    `events` are those of the training patients, a mean over the `subsamples` and the folds. The
    largest size is that of the whole training sets. ``delta_uno_c`` and ``delta_isbs`` are the
    metric minus that of the size before, paired.
    """

    model: Text
    patients: Number
    events: Number
    metric: Text
    value: Number
    low: Number
    high: Number
    subsamples: Number
    note: Text


class SizeRow(TypedDict):
    """Parameters of a model and the training events behind them, means over its fits."""

    model: Text
    fits: Number
    parameters: Number
    effective: Number
    events: NotRequired[Number]
    events_per_effective: Number
    note: NotRequired[Text]


class WeightRow(TypedDict):
    """Weight of one term of a stack in one fit, as ``weights.csv`` holds it.

    The weight moved from `start` by out-of-fold evidence and is never negative; `low` and `high`
    are its 95 % interval. Of a term that is left out because it does not add to the others, `gain`
    is what it adds to their out-of-fold log-likelihood, and `needed` what it must add. `note`
    says why a term is out (weight 0).
    """

    repeat: Number
    fold: Number
    term: Text
    value: Number
    start: Number
    low: Number
    high: Number
    gain: Number
    needed: Number
    note: Text


class TermRow(TypedDict):
    """Weights of one term over the fits of a run: mean, smallest, largest, median interval.

    `out` counts the fits in which its weight is 0, and `note` says why.
    """

    term: Text
    start: Number
    mean: Number
    smallest: Number
    largest: Number
    low: Number
    high: Number
    fits: Number
    out: Number
    note: Text


class Comparison(TypedDict):
    """Paired differences of a model to a reference."""

    model: Text
    reference: Text
    delta_uno_c: EstimateRecord | None
    delta_isbs: NotRequired[EstimateRecord | None]
    p: NotRequired[Number]
    p_holm: NotRequired[Number]


IncrementRecord = TypedDict(
    "IncrementRecord",
    {
        "modality": Text,
        "kind": Text,
        "with": Text,
        "without": Text,
        "delta_uno_c": EstimateRecord | None,
        "delta_isbs": NotRequired[EstimateRecord | None],
        "p": NotRequired[Number],
        "p_holm": NotRequired[Number],
    },
)
"""Paired differences of a model with a modality to the one without it."""


class Robustness(TypedDict):
    """The model under each loss of inputs, and the losses that could not be tried."""

    rows: list[RobustnessRow] | None
    left_out: list[str] | None


class Optimism(TypedDict):
    """Concordance with the epoch chosen on training patients, and on the scored patients."""

    metric: NotRequired[Text]
    honest: EstimateRecord | None
    selected_on_test: EstimateRecord | None


class Seeds(TypedDict):
    """A metric of the model trained from several seeds."""

    metric: NotRequired[Text]
    values: list[Number] | None
    sd: NotRequired[Number]
    note: NotRequired[Text]


class PermutedOutcome(TypedDict):
    """Uno's C of the model trained on permuted outcomes."""

    uno_c: EstimateRecord | None
    difference: NotRequired[EstimateRecord | None]


class External(TypedDict):
    """Everything scored on another cohort."""

    cohort: dict[str, Any] | None
    metrics: dict[str, dict[str, EstimateRecord]] | None
    characteristics: NotRequired[list[CharacteristicRow] | None]
    availability: NotRequired[list[AvailabilityRow] | None]
    robustness: NotRequired[Robustness | None]
    calibration: NotRequired[list[CalibrationPoint] | None]
    time_curves: NotRequired[list[TimePoint] | None]
    subgroups: NotRequired[list[SubgroupRow] | None]
    comparisons: NotRequired[list[Comparison] | None]


class ShareRow(TypedDict):
    """Share of a term in the variance of the out-of-fold log-risks; all add up to 1."""

    term: Text
    share: Number
    low: Number
    high: Number


class AgreementRow(TypedDict):
    """Agreement of models of two halves on one thing that they explain; see `survfuse.explain`.

    `low` and `high` are the smallest and largest of a split, `expected` that of cohorts of the size
    of this one. `status` is "reproduces", "partly", "grey" or "not used", and `says` a sentence.
    """

    level: Text
    modality: Text
    name: Text
    agreement: Number
    low: Number
    high: Number
    expected: Number
    splits: Number
    status: Text
    says: Text


class Explanations(TypedDict):
    """What the model uses; None where it was not measured, and `note` says why.

    `patients` is the size of the cohort, `half` that of the half models.
    """

    shares: list[ShareRow] | None
    agreement: list[AgreementRow] | None
    patients: NotRequired[Number]
    half: NotRequired[Number]
    note: NotRequired[Text]


class CharacteristicRow(TypedDict, total=False):
    """A characteristic of the patients of a group: "all", "event" or "no event".

    `kind` is "time" (observed time), "follow-up" (reverse Kaplan-Meier), "modality" (who has it),
    "group" (such as a site), or that of the column: "numeric", "ordinal" or "nominal". `n` counts
    the patients who have the `level`, or a known number; `share` is that of those whose value is
    known. `summary` says what sums up a number ("mean" or "median"); rows with "missing" count
    those whose value is not known, as a share of all.
    """

    modality: Text
    column: Text
    level: Text
    kind: Text
    summary: Text
    group: Text
    patients: Number
    n: Number
    share: Number
    mean: Number
    sd: Number
    median: Number
    low_quartile: Number
    high_quartile: Number


class HazardRow(TypedDict):
    """Hazard ratio of a clinical column, by itself and beside the others, with 95 % intervals.

    Of a number per `step` units, of an ordered category per level, of a category `level` against
    `reference`; the reference has a row of its own, of ratio 1. `pooled` are rare levels that are
    taken together. `patients` and `events` are those with a known value, or with the level.
    """

    modality: Text
    column: Text
    kind: Text
    level: Text
    reference: Text
    step: Number
    pooled: list[str] | None
    patients: Number
    events: Number
    univariable: Number
    univariable_low: Number
    univariable_high: Number
    univariable_note: Text
    multivariable: Number
    multivariable_low: Number
    multivariable_high: Number
    multivariable_note: Text


class ClinicalHazards(TypedDict):
    """Cox regression, without a penalty, of the clinical columns on the whole cohort.

    `patients` and `events` are those who have the clinical table, of `cohort_patients`;
    `parameters` are those of the fit with every column, and `note` says why there is no such fit.
    """

    rows: list[HazardRow] | None
    parameters: Number
    patients: Number
    events: Number
    cohort_patients: Number
    note: Text


class Performance(TypedDict, total=False):
    """``performance.json``: curves, comparisons and controls; None where a run has none."""

    time_curves: list[TimePoint] | None
    calibration: list[CalibrationPoint] | None
    calibration_histogram: list[PredictionBin] | None
    decision: list[DecisionPoint] | None
    subgroups: list[SubgroupRow] | None
    availability: list[AvailabilityRow] | None
    increment: list[IncrementRecord] | None
    comparisons: list[Comparison] | None
    robustness: Robustness | None
    learning_curve: list[LearningCurveRow] | None
    sizes: list[SizeRow] | None
    optimism: Optimism | None
    seeds: Seeds | None
    permuted_outcome: PermutedOutcome | None
    explanations: Explanations | None
    characteristics: list[CharacteristicRow] | None
    clinical_hazards: ClinicalHazards | None
    external: External | None
    interval: str | None


class FlowStep(TypedDict):
    """Patients and events left after one step from the files to the analysis."""

    step: str
    patients: float
    events: NotRequired[Count]
    note: NotRequired[Text]


class ModalityRow(TypedDict, total=False):
    """One modality of the cohort."""

    name: Required[str]
    kind: Text
    patients: Required[float]
    features: Count
    missing_share: Number
    note: Text


class PriorRow(TypedDict):
    """A modality that is a risk learned elsewhere.

    `prior` is the name of the weights of genes, None of a column that holds the risk; `reads`
    the modality, or the column. `cohorts` to `endpoints` say what it was learned from, None
    where that is not recorded.
    """

    modality: str
    prior: Text
    reads: Text
    cohorts: list[str] | None
    patients: Number
    events: Number
    endpoints: list[str] | None


class Pattern(TypedDict):
    """Patients who have exactly these modalities."""

    modalities: list[str]
    patients: float
    events: NotRequired[Count]
    follow_up_median: NotRequired[Number]


class ProblemRow(TypedDict, total=False):
    """A problem of the input."""

    message: Required[str]
    severity: Text
    where: Text
    patient: Text
    file: Text
    column: Text
    hint: Text


class ColumnLabels(TypedDict):
    """Words of the cohort file for a column and for its values."""

    label: Text
    values: dict[str, str]


class ModalityLabels(TypedDict):
    """Words of the cohort file for a modality and for its columns."""

    label: Text
    columns: dict[str, ColumnLabels]


class CohortRecord(TypedDict):
    """``cohort.json``: the patients analysed and the scale of the analysis."""

    name: str
    endpoint: str
    unit: str
    patients: float
    events: float
    flow: NotRequired[list[FlowStep] | None]
    modalities: NotRequired[list[ModalityRow] | None]
    priors: NotRequired[list[PriorRow] | None]
    labels: NotRequired[dict[str, ModalityLabels] | None]
    patterns: NotRequired[list[Pattern] | None]
    problems: NotRequired[list[ProblemRow] | None]
    follow_up_median: NotRequired[Number]
    horizons: NotRequired[list[float] | None]
    tau: NotRequired[Number]


class RunRecord(TypedDict, total=False):
    """``run.json``: how the run was made. `hashes` names "input" for foreign predictions.

    `endpoint` is the chosen one of the several `outcomes` of a cohort file.
    """

    model: Required[str]
    endpoint: Text
    clinical: Text
    command: Text
    started: Text
    finished: Text
    seconds: Number
    versions: dict[str, Any] | None
    hashes: dict[str, Any] | None
    seeds: dict[str, Any] | None
    files: dict[str, Any] | None
    notes: list[Any] | None
    search: Any
    executor: Any
    threads: Any
    state: Any


class CheckRecord(TypedDict, total=False):
    """One check of ``checks.json``."""

    id: str
    name: str
    status: str
    evidence: str
    advice: str
    severity: Text
    page: Text


Metrics = dict[str, dict[str, EstimateRecord]]
"""``metrics.json``: metrics by model."""

EXPECTED = {
    "float_type": "a number",
    "string_type": "a text",
    "dict_type": "an object",
    "list_type": "a list",
}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def validate(
    kind: Any,
    value: Any,
    where: object,
) -> Any:
    """Return `value` if it has the type `kind`.

    Parameters
    ----------
    kind : type
        A class of this module, or a list or dict of them.
    value : object
        As read from JSON.
    where : str or path
        The file, for messages.

    Raises
    ------
    InputError
        Names the file, the key and the row of the first value of another type.
    """
    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as failure:
        raise InputError(f"{where}: {_explain(failure)}") from None
    return value


def _explain(failure: ValidationError) -> str:
    errors = failure.errors(include_url=False)
    first = errors[0]
    place = first["loc"]
    if first["type"] == "missing":
        place = place[:-1]
        same = [e for e in errors if e["type"] == "missing" and e["loc"][:-1] == place]
        absent = listed(str(error["loc"][-1]) for error in same)
        message = (
            f"expected key(s) {absent}, got {listed(first['input'], 12) or 'none'}"
        )
    else:
        value = first["input"]
        got = (
            type(value).__name__
            if first["type"] in ("dict_type", "list_type")
            else repr(value)
        )
        message = f"expected {EXPECTED.get(first['type'], first['msg'])}, got {got}"
    path = ""
    for part in place:
        path += f", row {part + 1}" if isinstance(part, int) else f": {part}"
    return f"{path.lstrip(':, ')}: {message}".lstrip(": ")


def frame(
    types: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]] | None,
) -> pd.DataFrame:
    """Make the table of some rows.

    Parameters
    ----------
    types : mapping of column to type
        The type hints of a class of this module.
    rows : iterable of mapping or None

    Returns
    -------
    DataFrame
        All columns of `types`: numbers as float with NaN where there is none, notes as text that
        may be empty, names of modalities as tuples, everything else as it is.
    """
    table = pd.DataFrame(
        list(rows or ()),
        columns=list(types),
        dtype=object,
    )
    for name, type_ in types.items():
        if type_ == Number:
            table[name] = pd.to_numeric(table[name]).astype(float)
        elif name.endswith("note"):
            table[name] = [
                str(note) if pd.notna(note) and note else "" for note in table[name]
            ]
        elif name == "modalities":
            table[name] = table[name].map(tuple)
        else:
            table[name] = table[name].where(table[name].notna(), None)
    return table
