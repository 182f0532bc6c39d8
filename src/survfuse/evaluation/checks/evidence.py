"""What checks look at, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from survfuse._errors import InputError, NotComputableError
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import ModalityData, TableData
from survfuse.cohort.splits import Split
from survfuse.evaluation.checks.accrual import Signs, signs_of_accrual
from survfuse.evaluation.checks.vectors import Vectors, vectors_of
from survfuse.survival.estimate import Estimate, rounded

if TYPE_CHECKING:
    from survfuse.config import FitConfig
    from survfuse.results.schema import Explanations

Status = Literal["ok", "doubt", "warning", "failed", "not applicable"]


class Verdict(NamedTuple):
    """What a check found.

    Attributes
    ----------
    status : "ok", "warning" or "failed" (by severity), or "not applicable"
    evidence : str
        What was seen, with its numbers; the reason where the check does not apply.
    advice : str
        What to do; empty unless there is a doubt.
    """

    status: Status
    evidence: str
    advice: str = ""


def ok(evidence: str) -> Verdict:
    """Nothing to object to."""
    return Verdict("ok", evidence)


def doubt(evidence: str, advice: str) -> Verdict:
    """Hold something against the run; the check's severity makes it "warning" or "failed"."""
    return Verdict("doubt", evidence, advice)


def not_applicable(why: str) -> Verdict:
    """The check has nothing to look at."""
    return Verdict("not applicable", why)


class Statements:
    """What a check saw, statement by statement, of which it doubts some."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self.doubted: list[str] = []

    def add(self, text: str, *, doubted: bool) -> None:
        """Note one statement."""
        self.all.append(text)
        if doubted:
            self.doubted.append(text)

    def verdict(
        self,
        *,
        nothing: str,
        advice: str,
    ) -> Verdict:
        """Doubt the doubted statements, or list all; `nothing` says why there are none."""
        if not self.all:
            return not_applicable(nothing)
        if not self.doubted:
            return ok("; ".join(self.all))
        return doubt("; ".join(self.doubted), advice)


def with_interval(
    estimate: Estimate,
    digits: int = 3,
    *,
    signed: bool = False,
) -> str:
    """Write an estimate with its interval; the interval must be known."""
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = [
        rounded(number, digits, signed=signed)
        for number in numbers
        if number is not None
    ]
    return f"{value} [{low}, {high}]"


def has_interval(estimate: Estimate | None) -> bool:
    """Whether an estimate has a value and both ends of its interval."""
    return estimate is not None and None not in (
        estimate.value,
        estimate.low,
        estimate.high,
    )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A cohort, and as much of a run on it as there is.

    Attributes
    ----------
    cohort : Cohort
        The patients that were trained on or cross-validated.
    name : str or None
        The model that the run is about; needed with `models`.
    models : mapping of name to DataFrame
        Predictions: `patient_id, repeat, fold, time, event, log_risk, predicted_time, ...`.
    metrics : mapping of name to mapping of metric to Estimate
    clinical : str or None
        Name of the clinical-only ridge Cox.
    summaries : mapping of name to list of dict
        Plain values that describe each fit of a model.
    splits : sequence of Split
    selection : str or None
        How the epoch was chosen: "inner_folds", "holdout" or "last"; anything else
        names patients outside the training patients.
    external : Cohort or None
        Other patients on whom the model was tested.
    permuted : mapping of str to Estimate, or None
        `uno_c` of the same model trained on permuted outcomes, and `difference`:
        that of the model minus it.
    config : FitConfig or None
    explanations : Explanations or None
        Shares of the model's terms, and agreement of models of halves.

    Raises
    ------
    InputError
        When there are predictions, but none of the model `name`.
    """

    cohort: Cohort
    name: str | None = None
    models: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    clinical: str | None = None
    summaries: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    splits: Sequence[Split] = ()
    selection: str | None = None
    external: Cohort | None = None
    permuted: Mapping[str, Estimate] | None = None
    config: FitConfig | None = None
    explanations: Explanations | None = None

    def __post_init__(self) -> None:
        if self.models and self.name not in self.models:
            raise InputError(
                f"no predictions of the model {self.name!r}; there are: {', '.join(self.models)}",
            )

    @property
    def predictions(self) -> pd.DataFrame:
        """Predictions of the model itself."""
        return self.models[str(self.name)]

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """Metrics of the model itself."""
        return self.metrics.get(str(self.name), {})

    @property
    def fits(self) -> Sequence[Mapping[str, Any]]:
        """Summaries of the model's own fits."""
        return self.summaries.get(str(self.name), [])

    @cached_property
    def vectors(self) -> Mapping[str, Vectors]:
        """One vector per patient of each bag and expression modality, made once for all checks."""
        return vectors_of(self.cohort)

    @cached_property
    def accrual(self) -> Mapping[tuple[str, str], Signs | str]:
        """Signs of accrual by table and column (not nominal), or why there are none.

        Computed once: two checks read them, and each takes a few Cox fits.
        """
        signs: dict[tuple[str, str], Signs | str] = {}
        for data in self.cohort.modalities.values():
            if not isinstance(data, TableData):
                continue
            for name, spec in data.columns.items():
                if spec.kind != "nominal":
                    signs[data.name, name] = self._signs(data, name)
        return signs

    def _signs(
        self,
        data: TableData,
        column: str,
    ) -> Signs | str:
        ids = self.ids_followed(data)
        try:
            return signs_of_accrual(data.numbers(column, ids), *self.followed(ids))
        except NotComputableError as why:
            return str(why)

    @cached_property
    def outcome(self) -> pd.DataFrame:
        """`time` and `event` of the patients whose outcome is known.

        Raises
        ------
        NotComputableError
            When no outcome is known.
        """
        frame = self.cohort.outcome
        if frame is None or not frame["time"].notna().any():
            raise NotComputableError("the cohort has no outcome")
        return frame[frame["time"].notna()]

    def ids_followed(self, data: ModalityData) -> list[str]:
        """Patients of a modality whose outcome is known, in their order."""
        return [patient for patient in data.patients if patient in self.outcome.index]

    def followed(self, ids: Sequence[str]) -> tuple[FloatArray, BoolArray]:
        """Times and events of patients with an outcome, in their order."""
        outcome = self.outcome.loc[list(ids)]
        return outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)
