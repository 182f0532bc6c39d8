"""Checks of columns: accrual during follow-up, constant columns, association with censoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from survfuse._errors import listed
from survfuse._types import FloatArray
from survfuse.cohort.leakage import Leak
from survfuse.cohort.modalities import ExpressionData, TableData
from survfuse.cohort.spec import ColumnSpec
from survfuse.evaluation.checks.accrual import Signs
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)
from survfuse.survival.cox import fit_cox

CONSTANT = 0.98  # a value that this share of patients has
STILL = 0.5  # of the genes; some are silent in every tissue
MIN_CENSORED = 20
CENSORING_P = 0.01  # over all columns together
MOST_CATEGORIES = 10

LATER = (
    "Find out when each is known. If only later, leave it out (`use: false`), or replace it by "
    "its value at "
    "a landmark, with the outcome counted from there. If at time zero, allow it by name: "
    "--set model.inputs.allow_followup=[COLUMN] for train and crossval, --allow-followup COLUMN "
    "for "
    "validate."
)

ASIDE = (
    "Find out when each is known; leave out what is known only later. Show every score beside the "
    "score "
    "without these inputs: it says nothing of patients whose later course is not known yet."
)


@dataclass(frozen=True)
class Column:
    """A declared column of a table, and its patients."""

    data: TableData
    name: str

    @property
    def label(self) -> str:
        """Table and column."""
        return f"{self.data.name}.{self.name}"

    @property
    def spec(self) -> ColumnSpec:
        """Its entry in the cohort file."""
        return self.data.columns[self.name]

    def is_allowed(self, evidence: Evidence) -> bool:
        """Whether the configuration lets it in by name, though it leaks."""
        return _allowed(evidence, self.name, self.data.name)


def columns_of(evidence: Evidence) -> Iterator[Column]:
    """Every declared column of every table."""
    for data in evidence.cohort.modalities.values():
        if isinstance(data, TableData):
            for name in data.columns:
                yield Column(data, name)


@check(
    "SRV008",
    "No input accrues during follow-up or nearly tells the outcome.",
    "error",
)
def inputs_are_known_at_baseline(evidence: Evidence) -> Verdict:
    """Ask each column whether it grows with follow-up, and each input whether it is the outcome."""
    compared, reasons = 0, []
    refused: list[str] = []
    unused: list[str] = []
    for column, signs in _signs_by_column(evidence):
        if column.is_allowed(evidence):
            continue
        if isinstance(signs, str):
            reasons.append(f"{column.label}: {signs}")
            continue
        compared += 1
        if signs.clear:
            accruing = refused if _is_input(evidence, column) else unused
            accruing.append(
                f"{column.label} ({_describe(signs, evidence.cohort.unit)})",
            )
    refused += _leaking_inputs(evidence)
    if not compared and not refused:
        return not_applicable(listed(reasons, 3) or "no numeric or ordinal column")
    aside = f"; accrues, and is no input: {listed(unused, 3)}" if unused else ""
    if refused:
        return doubt(f"{listed(refused, 10)}{aside}", LATER)
    return ok(f"none of {compared} columns grows with follow-up as an input{aside}")


@check("SRV023", "No input that may tell the outcome is let in.", "warning")
def no_later_knowledge_is_let_in(evidence: Evidence) -> Verdict:
    """Name leaking inputs that are allowed by name, and inputs with less clear signs."""
    if evidence.outcome.empty:
        return not_applicable("nobody is followed")
    allowed, possible = _doubted_columns(evidence)
    for leak in _leaks(evidence):
        text = f"{leak.label} ({leak.evidence})"
        if _allowed(evidence, leak.column, leak.modality):
            allowed.append(text)
        elif leak.grade == "possible":
            possible.append(text)
    parts = []
    if allowed:
        parts.append(f"allowed by name, and leaks: {listed(allowed, 10)}")
    if possible:
        parts.append(f"which an honest input could also do: {listed(possible, 10)}")
    if not parts:
        return ok("none is allowed by name that leaks, and none looks as if it might")
    return doubt("; ".join(parts), ASIDE)


def _leaking_inputs(evidence: Evidence) -> list[str]:
    """Inputs that agree with the outcome clearly and are not allowed by name."""
    texts = []
    for leak in _leaks(evidence):
        allowed = _allowed(evidence, leak.column, leak.modality)
        if leak.grade != "possible" and not allowed:
            texts.append(f"{leak.label} ({leak.evidence})")
    return texts


def _doubted_columns(evidence: Evidence) -> tuple[list[str], list[str]]:
    """Accruing columns that are allowed by name, and inputs with less clear signs of accruing."""
    allowed: list[str] = []
    possible: list[str] = []
    for column, signs in _signs_by_column(evidence):
        if isinstance(signs, str) or not signs.accrues:
            continue
        if column.is_allowed(evidence):
            allowed.append(f"{column.label} (accrues during follow-up)")
        elif _is_input(evidence, column) and not signs.clear:
            details = _describe(signs, evidence.cohort.unit)
            possible.append(f"{column.label} (has signs of accruing: {details})")
    return allowed, possible


def _signs_by_column(evidence: Evidence) -> Iterator[tuple[Column, Signs | str]]:
    """Each numeric or ordinal column with its signs of accrual, or why there are none."""
    for column in columns_of(evidence):
        if column.spec.kind != "nominal":
            yield column, evidence.accrual[column.data.name, column.name]


def _allowed(
    evidence: Evidence,
    column: str,
    modality: str,
) -> bool:
    """Whether a column, or its whole modality, is allowed by name."""
    names = () if evidence.config is None else evidence.config.inputs.allow_followup
    return column in names or modality in names


def _is_input(evidence: Evidence, column: Column) -> bool:
    """Whether a model may see a column that nobody allowed by name."""
    return (
        column.spec.use
        and column.spec.known == "baseline"
        and _reads(evidence, column.data.name)
    )


def _leaks(evidence: Evidence) -> list[Leak]:
    """Inputs of the run whose content is the outcome, or nearly so."""
    return [leak for leak in evidence.cohort.leaks if _reads(evidence, leak.modality)]


def _reads(evidence: Evidence, modality: str) -> bool:
    """Whether any model may see a modality: the clinical one is the comparator's."""
    chosen = None if evidence.config is None else evidence.config.inputs.modalities
    kind = evidence.cohort.modalities[modality].kind
    return chosen is None or modality in chosen or kind == "clinical"


def _describe(signs: Signs, unit: str | None) -> str:
    late = "not computable" if np.isnan(signs.late) else f"{np.exp(signs.late):.2f}"
    return (
        f"hazard ratio per sd {np.exp(signs.early):.2f} up to {signs.landmark:g} {unit}, {late} "
        "later; "
        f"tau with time {signs.rises:.2f} among early leavers, {signs.tau_events:.2f} among "
        "events, "
        f"{signs.tau_censored:.2f} among censored"
    )


@check("SRV012", "Every column varies between patients, and most genes do.", "warning")
def columns_vary(evidence: Evidence) -> Verdict:
    """Find columns in which (nearly) all known cells are the same, and genes without any spread."""
    constant: list[str] = []
    notes: list[str] = []
    compared = 0
    for column in columns_of(evidence):
        cells = column.data.texts(column.name).dropna()
        if not column.spec.use or cells.empty:
            continue
        compared += 1
        counts = cells.value_counts()
        if counts.iloc[0] >= CONSTANT * len(cells):
            constant.append(
                f"{column.label}: {counts.iloc[0]} of {len(cells)} are {counts.index[0]!r}",
            )
    for name, data in evidence.cohort.modalities.items():
        if not isinstance(data, ExpressionData) or len(data.patients) < 2:
            continue
        compared += 1
        still = int((np.ptp(np.nan_to_num(data.values()), axis=0) == 0).sum())
        text = f"{name}: {still} of {data.features} genes never vary"
        if still > STILL * data.features:
            constant.append(text)
        elif still:
            notes.append(text)
    if not compared:
        return not_applicable("no column and no expression")
    if not constant:
        return ok("; ".join([f"{compared} columns and matrices vary", *notes]))
    return doubt(
        listed(constant, 10),
        "Models cannot use them; a fold without the rare value drops the column.",
    )


@check("SRV018", "Censoring is not shown to depend on clinical columns.", "warning")
def censoring_is_independent(evidence: Evidence) -> Verdict:
    """Likelihood-ratio test of each clinical column in a Cox regression of being censored."""
    censored = int((~evidence.outcome["event"]).sum())
    if censored < MIN_CENSORED:
        return not_applicable(
            f"{censored} censored patients; {MIN_CENSORED} are needed",
        )
    p_values = {}
    for column in columns_of(evidence):
        known = column.spec.use and column.spec.known == "baseline"
        if column.data.kind == "clinical" and known:
            p_values[column.name] = _censoring_p(evidence, column)
    p_of = pd.Series(p_values, dtype=float).dropna().sort_values()
    if p_of.empty:
        return not_applicable("no clinical column varies")
    dependent = p_of[p_of * len(p_of) < CENSORING_P]
    if dependent.empty:
        return ok(
            f"{len(p_of)} clinical columns; smallest p is {p_of.iloc[0]:.2g} ({p_of.index[0]})",
        )
    names = listed(f"{name} (p {p:.1g})" for name, p in dependent.items())
    return doubt(
        f"leaving follow-up without the event depends on {names}",
        "Uno's C, AUC and Brier scores weight by one censoring curve for all; read them beside "
        "Harrell's C, "
        "and ask why these patients are followed for another time (era, age, site).",
    )


def _censoring_p(
    evidence: Evidence,
    column: Column,
) -> float | None:
    """p-value of the likelihood-ratio test; None when the column does not vary."""
    ids = evidence.ids_followed(column.data)
    x = _design(column, ids)
    known = np.isfinite(x).all(axis=1)
    time, event = evidence.followed(ids)
    x, time, left = x[known], time[known], ~event[known]
    x = x[:, np.ptp(x, axis=0) > 0] if len(x) else x[:, :0]
    if x.shape[1] == 0 or left.sum() < MIN_CENSORED:
        return None
    fit = fit_cox(x, time, left, penalty=1e-6)
    return float(
        stats.chi2.sf(2 * (fit.log_likelihood - fit.null_log_likelihood), x.shape[1]),
    )


def _design(column: Column, ids: list[str]) -> FloatArray:
    """Ranks of a number, or 0/1 columns of the rarer categories; (patients, columns)."""
    if column.spec.kind != "nominal":
        numbers = pd.Series(column.data.numbers(column.name, ids))
        return np.asarray(numbers.rank(pct=True), np.float64)[:, None]
    cells = column.data.texts(column.name, ids)
    others = cells.value_counts().index[1:MOST_CATEGORIES]
    known = cells.notna().to_numpy(bool)
    design = np.full((len(ids), len(others)), np.nan)
    for place, category in enumerate(others):
        design[known, place] = (cells[known] == category).to_numpy(np.float64)
    return design
