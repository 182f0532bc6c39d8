"""Checks of groups of patients (site, batch): whether they differ in outcome, features or scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from survfuse._errors import listed
from survfuse._types import FloatArray
from survfuse.cohort.cohort_data import Cohort
from survfuse.cohort.modalities import ExpressionData
from survfuse.evaluation.checks.check_cards import check
from survfuse.evaluation.checks.evidence import (
    Evidence,
    Verdict,
    doubt,
    not_applicable,
    ok,
)
from survfuse.evaluation.checks.vectors import Vectors
from survfuse.survival.groups import log_rank

SMALL = 10  # patients; smaller groups are pooled for outcomes and left out for features
OUTCOME_P = 0.01
SITE_P = 0.001
SITE_GAIN = 0.05  # accuracy above that of always naming the largest group
SCALE_SHIFT = 1.0  # of the usual deviation between samples of one group
SCALE_P = 0.001
COMPONENTS = 20
FOLDS = 5
NO_GROUPS = "the cohort file names no groups (`groups: {site: COLUMN}`)"

Strs = npt.NDArray[np.str_]


@check(
    "SRV009",
    "Outcomes are not shown to differ between sites or batches.",
    "warning",
)
def outcome_does_not_follow_groups(evidence: Evidence) -> Verdict:
    """Log-rank test across the groups of each group column."""
    told, guilty, columns = (
        [],
        [],
        list(_labels(evidence.cohort, evidence.outcome.index)),
    )
    for name, ids, labels in columns:
        pooled = _pooled(labels)
        test = log_rank(*evidence.followed(ids), pooled)
        if test.p is None:
            told.append(f"{name}: {test.note}")
            continue
        rates = [
            f"{group} {seen:g} events, {expected:.1f} expected"
            for group, seen, expected in zip(
                test.groups,
                test.observed,
                test.expected,
                strict=True,
            )
        ]
        told.append(
            f"{name} ({len(test.groups)} groups): log-rank p {test.p:.2g}; {listed(rates, 6)}",
        )
        if test.p * len(columns) < OUTCOME_P:
            guilty.append(told[-1])
    if not told:
        return not_applicable(NO_GROUPS)
    if not guilty:
        return ok("; ".join(told))
    return doubt(
        "; ".join(guilty),
        "A model that recognises the site scores without knowing biology: use site-preserving folds, "
        "leave-one-site-out, and report results by site.",
    )


@check("SRV010", "Sites or batches are not seen in slides or expression.", "warning")
def features_do_not_tell_groups(evidence: Evidence) -> Verdict:
    """Cross-validated linear discriminant analysis of each group column on each modality."""
    told, guilty = [], []
    for name, ids, labels in _labels(evidence.cohort, evidence.cohort.patients):
        group_of = dict(zip(ids, labels, strict=True))
        for modality, vectors in evidence.vectors.items():
            found = _recognised(vectors, group_of)
            if found is None:
                continue
            told.append(
                f"{modality} tells {name} ({found.groups} groups) with accuracy {found.accuracy:.2f}, "
                f"the largest holds {found.majority:.2f}",
            )
            if found.p < SITE_P and found.accuracy - found.majority > SITE_GAIN:
                guilty.append(told[-1])
    if not told:
        return not_applicable(_why_not(evidence))
    if not guilty:
        return ok("; ".join(told))
    return doubt(
        "; ".join(guilty),
        "Keep each site in one fold (crossval --split whole_sites), or the outcome of a site is learned as "
        "if it were biology; see whether stain or batch correction helps.",
    )


def _why_not(evidence: Evidence) -> str:
    if evidence.cohort.groups.empty:
        return NO_GROUPS
    if not evidence.vectors:
        return "no slides and no expression"
    return f"no two groups of {SMALL} patients with slides or expression"


def _labels(
    cohort: Cohort,
    ids: pd.Index[str] | tuple[str, ...],
) -> Iterator[tuple[str, list[str], Strs]]:
    """Each group column with its patients whose group is known, and their groups."""
    for name in cohort.groups.columns:
        known = cohort.groups.loc[list(ids), name]
        known = known[known != ""]
        if len(known):
            yield str(name), [str(i) for i in known.index], known.to_numpy(str)


def _pooled(labels: Strs) -> Strs:
    """Labels with all groups of fewer than `SMALL` patients as one."""
    names, counts = np.unique(labels, return_counts=True)
    small = np.isin(labels, names[counts < SMALL])
    return np.where(small, f"{int((counts < SMALL).sum())} small groups", labels)


@dataclass(frozen=True)
class _Recognised:
    """How well groups are told: out-of-fold accuracy, against always naming the largest group."""

    accuracy: float
    majority: float
    p: float
    groups: int


def _recognised(vectors: Vectors, group_of: Mapping[str, str]) -> _Recognised | None:
    """Tell groups of `SMALL` patients or more from vectors; None with fewer than two of them."""
    labels = np.array([group_of.get(i, "") for i in vectors.patients])
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    large = names[counts >= SMALL]
    rows = np.isin(labels, large)
    if len(large) < 2 or vectors.values.shape[1] == 0:
        return None
    labels = labels[rows]
    hits = int(
        (_out_of_fold(_components(vectors.values[rows]), labels) == labels).sum(),
    )
    majority = float(counts[counts >= SMALL].max() / len(labels))
    p = float(stats.binom.sf(hits - 1, len(labels), majority))
    return _Recognised(hits / len(labels), majority, p, len(large))


def _components(values: FloatArray) -> FloatArray:
    """Scores on the first principal components, (patients, components); no label enters."""
    centred = values - values.mean(axis=0)
    if centred.shape[1] > len(centred):  # the scores need the patients' products only
        length, left = np.linalg.eigh(centred @ centred.T)
        scores = left[:, ::-1] * np.sqrt(np.maximum(length[::-1], 0.0))
    else:
        _, axes = np.linalg.eigh(centred.T @ centred)
        scores = centred @ axes[:, ::-1]
    return np.asarray(scores[:, : min(COMPONENTS, len(centred) // 5 or 1)])


def _out_of_fold(scores: FloatArray, labels: Strs) -> Strs:
    """Group that a discriminant analysis of the other folds gives each patient."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return np.asarray(cross_val_predict(judge, scores, labels, cv=folds))


@check(
    "SRV011",
    "Expression has one scale in all sites, and in the external cohort.",
    "warning",
)
def expression_has_one_scale(evidence: Evidence) -> Verdict:
    """Compare each sample's median and interquartile range between groups and with the external cohort."""
    told, guilty = [], []
    for name, data in evidence.cohort.modalities.items():
        if not isinstance(data, ExpressionData) or len(data.patients) < 2:
            continue
        for what, scales in _compared(evidence, name, data):
            for statistic, values in zip(
                ("median", "interquartile range"),
                scales,
                strict=True,
            ):
                text, apart = _shift(values)
                told.append(f"{name} {statistic} by {what}: {text}")
                if apart:
                    guilty.append(told[-1])
    if not told:
        return not_applicable("no expression with two groups of samples to compare")
    if not guilty:
        return ok("; ".join(told))
    return doubt(
        "; ".join(guilty),
        "Bring samples to one scale (one pipeline, one unit, batch correction inside the training fold) "
        "before anything is learned or predicted.",
    )


Scales = tuple[
    dict[str, FloatArray],
    dict[str, FloatArray],
]  # medians and ranges of the samples of each group


def _compared(
    evidence: Evidence,
    name: str,
    data: ExpressionData,
) -> Iterator[tuple[str, Scales]]:
    medians, ranges = _sample_scales(data.log_values())
    at = {patient: row for row, patient in enumerate(data.patients)}
    for column, ids, labels in _labels(evidence.cohort, data.patients):
        members = {
            g: [at[i] for i, label in zip(ids, labels, strict=True) if label == g]
            for g in np.unique(labels)
        }
        large = {str(g): rows for g, rows in members.items() if len(rows) >= SMALL}
        if len(large) > 1:
            yield (
                column,
                (
                    {g: medians[r] for g, r in large.items()},
                    {g: ranges[r] for g, r in large.items()},
                ),
            )
    other = (
        None if evidence.external is None else evidence.external.modalities.get(name)
    )
    if isinstance(other, ExpressionData) and other.patients:
        ours, theirs = _shared_genes(data, other)
        if ours.shape[1]:
            pairs = zip(_sample_scales(ours), _sample_scales(theirs), strict=True)
            first, second = ({"training": a, "external": b} for a, b in pairs)
            yield "cohort", (first, second)


def _shared_genes(
    data: ExpressionData,
    other: ExpressionData,
) -> tuple[FloatArray, FloatArray]:
    place = {gene: column for column, gene in enumerate(other.expression.genes)}
    shared = [
        column for column, gene in enumerate(data.expression.genes) if gene in place
    ]
    theirs = [place[data.expression.genes[column]] for column in shared]
    return data.log_values()[:, shared], other.log_values()[:, theirs]


def _sample_scales(values: npt.NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
    """Median and interquartile range of each sample over its measured genes; both (patients,)."""
    low, middle, high = np.nanquantile(
        values.astype(np.float64),
        (0.25, 0.5, 0.75),
        axis=1,
    )
    return np.asarray(middle), np.asarray(high - low)


def _shift(groups: Mapping[str, FloatArray]) -> tuple[str, bool]:
    """Tell the groups that lie furthest apart, and whether that is more than samples of one group differ."""
    centres = sorted(
        (float(np.median(values)), group) for group, values in groups.items()
    )
    within = np.concatenate(
        [np.abs(values - np.median(values)) for values in groups.values()],
    )
    usual = 1.4826 * float(np.median(within))
    (low, first), (high, last) = centres[0], centres[-1]
    text = f"{low:.3g} ({first}) to {high:.3g} ({last}), usual deviation {usual:.2g}"
    pooled = np.concatenate(list(groups.values()))
    if (
        high - low <= SCALE_SHIFT * usual
        or np.ptp(pooled) <= 1e-9 * np.abs(pooled).max()
    ):
        return text, False
    return text, bool(stats.kruskal(*groups.values()).pvalue < SCALE_P)
