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
    Statements,
    Verdict,
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
    statements = Statements()
    columns = list(_labels(evidence.cohort, evidence.outcome.index))
    for name, ids, labels in columns:
        test = log_rank(*evidence.followed(ids), _pooled(labels))
        if test.p is None:
            statements.add(f"{name}: {test.note}", doubted=False)
            continue
        rates = []
        for group, events, expected in zip(
            test.groups,
            test.observed,
            test.expected,
            strict=True,
        ):
            rates.append(f"{group} {events:g} events, {expected:.1f} expected")
        statements.add(
            f"{name} ({len(test.groups)} groups): log-rank p {test.p:.2g}; {listed(rates, 6)}",
            doubted=test.p * len(columns) < OUTCOME_P,
        )
    return statements.verdict(
        nothing=NO_GROUPS,
        advice="A model that recognises the site scores without knowing biology: use "
        "site-preserving folds, leave-one-site-out, and report results by site.",
    )


@check("SRV010", "Sites or batches are not seen in slides or expression.", "warning")
def features_do_not_identify_groups(evidence: Evidence) -> Verdict:
    """Cross-validated linear discriminant analysis of each group column on each modality."""
    statements = Statements()
    for name, ids, labels in _labels(evidence.cohort, evidence.cohort.patients):
        group_of = dict(zip(ids, labels, strict=True))
        for modality, vectors in evidence.vectors.items():
            recognised = _recognise(vectors, group_of)
            if recognised is None:
                continue
            gain = recognised.accuracy - recognised.majority
            statements.add(
                f"{modality} tells {name} ({recognised.groups} groups) with accuracy "
                f"{recognised.accuracy:.2f}, the largest holds {recognised.majority:.2f}",
                doubted=recognised.p < SITE_P and gain > SITE_GAIN,
            )
    return statements.verdict(
        nothing=_why_not(evidence),
        advice="Keep each site in one fold (crossval --split whole_sites), or the outcome of a "
        "site is learned as if it were biology; see whether stain or batch correction helps.",
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
    """Out-of-fold accuracy of naming the group, and that of always naming the largest one."""

    accuracy: float
    majority: float
    p: float
    groups: int


def _recognise(
    vectors: Vectors,
    group_of: Mapping[str, str],
) -> _Recognised | None:
    """Predict groups of `SMALL` patients or more from vectors; None with fewer than two of them."""
    labels = np.array([group_of.get(patient, "") for patient in vectors.patients])
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    large = names[counts >= SMALL]
    rows = np.isin(labels, large)
    if len(large) < 2 or vectors.values.shape[1] == 0:
        return None
    labels = labels[rows]
    predicted = _out_of_fold(_components(vectors.values[rows]), labels)
    hits = int((predicted == labels).sum())
    majority = float(counts.max() / len(labels))
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

    folds = StratifiedKFold(
        FOLDS,
        shuffle=True,
        random_state=0,
    )
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    return np.asarray(cross_val_predict(judge, scores, labels, cv=folds))


@check(
    "SRV011",
    "Expression has one scale in all sites, and in the external cohort.",
    "warning",
)
def expression_has_one_scale(evidence: Evidence) -> Verdict:
    """Compare location and spread of samples between groups and with the external cohort."""
    statements = Statements()
    for name, data in evidence.cohort.modalities.items():
        if not isinstance(data, ExpressionData) or len(data.patients) < 2:
            continue
        for title, groups in _scales_by_group(evidence, name, data):
            for statistic in ("median", "interquartile range"):
                values = {
                    group: scales[statistic].to_numpy()
                    for group, scales in groups.items()
                }
                text, apart = _shift(values)
                statements.add(f"{name} {statistic} by {title}: {text}", doubted=apart)
    return statements.verdict(
        nothing="no expression with two groups of samples to compare",
        advice="Bring samples to one scale (one pipeline, one unit, batch correction inside the "
        "training fold) before anything is learned or predicted.",
    )


def _scales_by_group(
    evidence: Evidence,
    name: str,
    data: ExpressionData,
) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Scales of the samples of each group, by every group column, and by cohort."""
    scales = _sample_scales(data.log_values()).set_axis(list(data.patients))
    for column, ids, labels in _labels(evidence.cohort, data.patients):
        groups = {str(group): part for group, part in scales.loc[ids].groupby(labels)}
        large = {group: part for group, part in groups.items() if len(part) >= SMALL}
        if len(large) > 1:
            yield column, large
    other = (
        None if evidence.external is None else evidence.external.modalities.get(name)
    )
    if isinstance(other, ExpressionData) and other.patients:
        ours, theirs = _shared_genes(data, other)
        if ours.shape[1]:
            yield (
                "cohort",
                {"training": _sample_scales(ours), "external": _sample_scales(theirs)},
            )


def _shared_genes(
    data: ExpressionData,
    other: ExpressionData,
) -> tuple[FloatArray, FloatArray]:
    _, ours, theirs = np.intersect1d(
        data.expression.genes,
        other.expression.genes,
        return_indices=True,
    )
    return data.log_values()[:, ours], other.log_values()[:, theirs]


def _sample_scales(values: npt.NDArray[np.floating]) -> pd.DataFrame:
    """Median and interquartile range of each sample over its measured genes."""
    quantiles = (0.25, 0.5, 0.75)
    low, middle, high = np.nanquantile(values.astype(np.float64), quantiles, axis=1)
    return pd.DataFrame({"median": middle, "interquartile range": high - low})


def _shift(groups: Mapping[str, FloatArray]) -> tuple[str, bool]:
    """Describe the groups that lie furthest apart, and whether samples of one group differ less."""
    centres = sorted(
        (float(np.median(values)), group) for group, values in groups.items()
    )
    (low, first), (high, last) = centres[0], centres[-1]
    deviations = [np.abs(values - np.median(values)) for values in groups.values()]
    usual = 1.4826 * float(np.median(np.concatenate(deviations)))
    text = f"{low:.3g} ({first}) to {high:.3g} ({last}), usual deviation {usual:.2g}"
    pooled = np.concatenate(list(groups.values()))
    if (
        high - low <= SCALE_SHIFT * usual
        or np.ptp(pooled) <= 1e-9 * np.abs(pooled).max()
    ):
        return text, False
    return text, bool(stats.kruskal(*groups.values()).pvalue < SCALE_P)
