"""Other readings of one modality, each against the ridge Cox of the stack, on given folds.

`clinical`: splines and boosted trees; `expression`: more or fewer components, ranks, genes;
`tables`: components, burden and weights by events of mutations and copy numbers; `penalty`: rules
that choose the penalty, and how much C moves with the seed of their folds. Every reading is fitted
on the training patients of a fold, or on 100 of them, and measured on the patients held out who
have the modality. Rows are kept in the output folder, one CSV per question and cohort.

    python studies/stack_terms.py clinical -c runs/cohorts/* -o runs/terms
    python studies/stack_terms.py report -o runs/terms
"""

from __future__ import annotations

import argparse
import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata
from sklearn.tree import DecisionTreeRegressor

import survfuse as sf
from survfuse._types import BoolArray, FloatArray
from survfuse.cohort import Cohort
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.modalities import ExpressionData, TableData
from survfuse.cohort.principal_components import principal_axes
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.estimators.linear_cox import inner_fold_count, limit_missing
from survfuse.survival._newton import Axes, climb
from survfuse.survival._partial import RiskSets
from survfuse.survival._penalty_path import falling, stratified_folds
from survfuse.survival.concordance import harrell_c, uno_c
from survfuse.survival.cox import ridge_cox_cv
from survfuse.survival.right_censored import Outcome
from survfuse.survival.sparse_cox import sparse_cox_cv
from survfuse.survival.splines import knots_of, spline_basis

SMALLEST, GIVE_UP, WIDE, WIDEST = 0.01, 5, 150, 250
SMALL_TRAINING = 100
DEALS = 25


@dataclass(frozen=True, eq=False)
class Part:
    """One modality of the training and of the held-out patients who have it.

    Attributes
    ----------
    x, x_test : array, (patients, features)
    time, event : array, (patients,), of the training patients
    blanks : mapping of feature to features
        Of each feature that marks a missing cell, those of its column's value.
    raw, raw_test : array, (patients, columns)
        Cells of a table as numbers, 0 where missing.
    """

    x: FloatArray
    x_test: FloatArray
    time: FloatArray
    event: BoolArray
    blanks: dict[int, tuple[int, ...]]
    raw: FloatArray
    raw_test: FloatArray


Risk = FloatArray  # of the training patients, then of the held-out ones
Reading = Callable[[Part], Risk]


def ridge(
    part: Part,
    x: FloatArray,
    x_test: FloatArray,
    repeats: int = 3,
) -> tuple[Risk, float]:
    """Risks of a ridge Cox, and the least cross-validated deviance."""
    mean = x.mean(axis=0)
    turn = np.eye(x.shape[1])
    if min(x.shape) > WIDEST:  # a ridge hardly sees the directions of least variance
        turn = principal_axes(x - mean, WIDEST)[0].T
    path = ridge_cox_cv(
        (x - mean) @ turn,
        part.time,
        part.event,
        smallest=SMALLEST,
        folds=inner_fold_count(part.event),
        repeats=repeats if turn.shape[1] <= WIDE else 1,
        give_up=GIVE_UP,
    )
    coef = turn @ path.coef
    if part.blanks:
        has = np.ones(len(x), dtype=bool)
        coef = limit_missing((x, has), coef, part.blanks)
    return (np.vstack([x, x_test]) - mean) @ coef, float(path.deviance.min())


def linear(part: Part) -> Risk:
    """Ridge Cox of the features as they are: the stack today."""
    return ridge(part, part.x, part.x_test)[0]


# Clinical terms


def bends(
    part: Part, knots: int
) -> tuple[FloatArray, FloatArray, dict[int, list[int]]]:
    """What restricted cubic splines of numeric features add to straight lines, unit variance."""
    columns, owners = [], {}
    both = np.vstack([part.x, part.x_test])
    for feature in range(part.x.shape[1]):
        own = part.x[:, feature]
        if len(np.unique(own)) < 8:
            continue
        basis = spline_basis(both[:, feature], knots_of(own, knots))[:, 1:]
        if basis.shape[1] == 0:
            continue
        train = np.column_stack([np.ones(len(own)), own])
        test = np.column_stack([np.ones(len(both)), both[:, feature]])
        basis = basis - test @ np.linalg.lstsq(train, basis[: len(own)], rcond=None)[0]
        basis /= np.maximum(basis[: len(own)].std(axis=0), 1e-9)
        owners[feature] = [len(columns) + place for place in range(basis.shape[1])]
        columns += list(basis.T)
    stacked = np.array(columns).T if columns else np.zeros((len(both), 0))
    return stacked[: len(part.x)], stacked[len(part.x) :], owners


def splines(knots: int, scales: tuple[float, ...]) -> Reading:
    """Ridge Cox with splines; a scale of 1/2 penalises bends four times as much as lines."""

    def read(part: Part) -> Risk:
        train, test, owners = bends(part, knots)
        width = part.x.shape[1]
        blanks = {}
        for mark, values in part.blanks.items():
            own = [width + place for value in values for place in owners.get(value, [])]
            blanks[mark] = (*values, *own)
        wide = replace(part, blanks=blanks)
        fits = []
        for scale in scales:
            x = np.hstack([part.x, scale * train])
            fits.append(ridge(wide, x, np.hstack([part.x_test, scale * test])))
        return min(fits, key=lambda fit: fit[1])[0]

    return read


def grow(
    x: FloatArray,
    sets: RiskSets,
    everyone: FloatArray,
    *,
    steps: int,
    depth: int,
    rate: float = 0.2,
    shrink: float = 5.0,
) -> Iterator[FloatArray]:
    """Boost trees on martingale residuals, with Newton leaves; risks of everyone, step by step."""
    risk, total = np.zeros(len(x)), np.zeros(len(everyone))
    event = np.zeros(len(x))
    event[sets.order[sets.event]] = 1
    for step in range(steps):
        residual = sets.residuals(risk)
        expected = event - residual
        tree = DecisionTreeRegressor(
            max_depth=depth,
            min_samples_leaf=max(5, len(x) // 20),
            random_state=step,
        )
        tree.fit(x, residual)
        leaf = tree.apply(x)
        size = tree.tree_.node_count
        top = np.bincount(leaf, weights=residual, minlength=size)
        value = (
            rate * top / (np.bincount(leaf, weights=expected, minlength=size) + shrink)
        )
        risk = risk + value[leaf]
        total = total + value[tree.apply(everyone)]
        yield total


def boosted(depth: int, steps: int = 40) -> Reading:
    """Boosted Cox whose number of trees cross-validation chooses."""

    def read(part: Part) -> Risk:
        outcome = Outcome.of(part.time, part.event)
        sets = RiskSets.of(outcome, "efron")
        gain = np.zeros(steps + 1)
        rng = np.random.default_rng(0)
        for held in stratified_folds(part.event, inner_fold_count(part.event), rng):
            inner = RiskSets.of(outcome[~held], "efron")
            path = grow(part.x[~held], inner, part.x, steps=steps, depth=depth)
            for step, risk in enumerate(path, start=1):
                gain[step] += sets.log_likelihood(risk) - inner.log_likelihood(
                    risk[~held]
                )
            zero = np.zeros(len(held))
            gain[0] += sets.log_likelihood(zero) - inner.log_likelihood(zero[~held])
        both = np.vstack([part.x, part.x_test])
        best = int(gain.argmax())
        risks = [np.zeros(len(both))]
        risks += grow(part.x, sets, both, steps=best, depth=depth)
        return risks[-1]

    return read


CLINICAL: dict[str, Reading] = {
    "linear": linear,
    "splines3": splines(3, (1.0,)),
    "splines4": splines(4, (1.0,)),
    "splines4_half": splines(4, (0.5,)),
    "splines4_apart": splines(4, (0.0, 0.25, 0.5, 1.0)),
    "boost2": boosted(2),
}

# Expression terms


def components(
    count: int,
    *,
    whiten: float = 0.0,
    change: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
) -> Reading:
    """Ridge Cox of principal components, relative to the first, or of variance nearer to 1."""

    def read(part: Part) -> Risk:
        x, x_test = part.x, part.x_test
        if change is not None:
            x, x_test = change(part.x, x), change(part.x, x_test)
        mean = x.mean(axis=0)
        axes, deviations = principal_axes(x - mean, min(count, len(x) - 1))
        scale = deviations[0] ** (1 - whiten) * deviations**whiten
        turn = axes.T / scale
        return ridge(part, (x - mean) @ turn, (x_test - mean) @ turn)[0]

    return read


def normal_scores(train: FloatArray, x: FloatArray) -> FloatArray:
    """Normal score of each value among those of the training patients, gene by gene."""
    if x is train:
        return np.asarray(norm.ppf(rankdata(x, axis=0) / (len(x) + 1)))
    below = np.empty(x.shape)
    for gene in range(x.shape[1]):
        ordered = np.sort(train[:, gene])
        left = np.searchsorted(ordered, x[:, gene], side="left")
        below[:, gene] = (left + np.searchsorted(ordered, x[:, gene], side="right")) / 2
    return np.asarray(norm.ppf((below + 0.5) / (len(train) + 1)))


def robust(
    most: float,
    squeeze: Callable[[FloatArray], FloatArray] | None = None,
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Values within some robust deviations of the median, of unit variance."""

    def change(train: FloatArray, x: FloatArray) -> FloatArray:
        middle = np.median(train, axis=0)
        deviation = 1.4826 * np.median(np.abs(train - middle), axis=0)
        deviation = np.where(deviation > 0, deviation, train.std(axis=0))
        own, other = (train - middle) / deviation, (x - middle) / deviation
        if squeeze is not None:
            own, other = squeeze(own), squeeze(other)
        own, other = np.clip(own, -most, most), np.clip(other, -most, most)
        return np.asarray(
            (other - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
        )

    return change


def robust_plain(train: FloatArray, x: FloatArray) -> FloatArray:
    """Robust deviations within three, as they are."""
    middle = np.median(train, axis=0)
    deviation = 1.4826 * np.median(np.abs(train - middle), axis=0)
    deviation = np.where(deviation > 0, deviation, train.std(axis=0))
    return np.asarray(np.clip((x - middle) / deviation, -3.0, 3.0))


def percentiles(tail: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Values within two percentiles of the training patients, of unit variance."""

    def change(train: FloatArray, x: FloatArray) -> FloatArray:
        least, most = np.quantile(train, [tail, 1 - tail], axis=0)
        own, other = np.clip(train, least, most), np.clip(x, least, most)
        spread = own.std(axis=0)
        spread = np.where(spread > 1e-9, spread, np.inf)
        return np.asarray((other - own.mean(axis=0)) / spread)

    return change


def logged(
    then: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """About the log of what published z-scores were made of, z-scored again or changed further.

    The smallest training value of a gene stands for no expression.
    """

    def change(train: FloatArray, x: FloatArray) -> FloatArray:
        least = train.min(axis=0)
        own = np.log(train - least + 0.1)
        other = np.log(np.maximum(x - least, 0.0) + 0.1)
        if then is not None:
            return then(own, other)
        return np.asarray(
            (other - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
        )

    return change


def sparse(part: Part) -> Risk:
    """Elastic-net Cox on genes."""
    path = sparse_cox_cv(
        part.x,
        part.time,
        part.event,
        smallest=SMALLEST,
        folds=inner_fold_count(part.event),
    )
    return (np.vstack([part.x, part.x_test]) - part.x.mean(axis=0)) @ path.coef


def limited(most: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Z-scores limited to some deviations."""
    return lambda train, x: np.clip(x, -most, most)


def in_range(train: FloatArray, x: FloatArray) -> FloatArray:
    """Values limited to those of the training patients."""
    return np.asarray(np.clip(x, train.min(axis=0), train.max(axis=0)))


EXPRESSION: dict[str, Reading] = {
    "pc32": components(32),
    "pc16": components(16),
    "pc64": components(64),
    "pc128": components(128),
    "genes": components(250),
    "pc32_half_white": components(32, whiten=0.5),
    "pc32_white": components(32, whiten=1.0),
    "ranks32": components(32, change=normal_scores),
    "robust3": components(32, change=robust(3.0)),
    "limited3": components(32, change=limited(3.0)),
    "limited5": components(32, change=limited(5.0)),
    "in_range": components(32, change=in_range),
    "limited3_half_white": components(32, whiten=0.5, change=limited(3.0)),
    "limited3_64": components(64, change=limited(3.0)),
    "sparse": sparse,
}
LIMITS: dict[str, Reading] = {
    "pc32": components(32),
    "ranks32": components(32, change=normal_scores),
    "robust3": components(32, change=robust(3.0)),
    "robust2": components(32, change=robust(2.0)),
    "robust1.5": components(32, change=robust(1.5)),
    "asinh": components(32, change=robust(9.0, np.arcsinh)),
    "log32": components(32, change=logged()),
    "log_robust3": components(32, change=logged(robust(3.0))),
    "robust3_64": components(64, change=robust(3.0)),
    "ranks64": components(64, change=normal_scores),
    "robust3_16": components(16, change=robust(3.0)),
    "robust3_half_white": components(32, whiten=0.5, change=robust(3.0)),
}
ASINH: dict[str, Reading] = {
    "asinh3": components(32, change=robust(3.0, np.arcsinh)),
    "asinh3_64": components(64, change=robust(3.0, np.arcsinh)),
    "log_asinh3": components(32, change=logged(robust(3.0, np.arcsinh))),
}
PERCENTILES: dict[str, Reading] = {
    "within5": components(32, change=percentiles(0.05)),
    "within2": components(32, change=percentiles(0.02)),
    "within10": components(32, change=percentiles(0.1)),
    "robust3_plain": components(32, change=robust_plain),
    "within5_64": components(64, change=percentiles(0.05)),
    "within5_48": components(48, change=percentiles(0.05)),
}
MEANS = {
    "robust3_16+32+64": ("robust3_16", "robust3", "robust3_64"),
    "linear+splines4": ("linear", "splines4"),
    "linear+boost2": ("linear", "boost2"),
    "linear+splines4+boost2": ("linear", "splines4", "boost2"),
    "pc32+genes": ("pc32", "genes"),
    "pc32+ranks32": ("pc32", "ranks32"),
    "pc32+sparse": ("pc32", "sparse"),
    "pc16+32+64+128": ("pc16", "pc32", "pc64", "pc128"),
    "pc32+robust3": ("pc32", "robust3"),
    "ranks32+limited3": ("ranks32", "limited3"),
    "raw+pc16": ("raw", "pc16"),
    "raw+burden": ("raw", "burden"),
}

# Tables of mutations and copy numbers


def burden(part: Part) -> tuple[FloatArray, FloatArray]:
    """Log of the number of altered genes, in deviations; training and held-out, (patients, 1)."""
    own, other = (np.log1p((raw != 0).sum(axis=1)) for raw in (part.raw, part.raw_test))
    spread = max(float(own.std()), 1e-9)
    return ((own - own.mean()) / spread)[:, None], ((other - own.mean()) / spread)[
        :, None
    ]


def with_burden(scale: float, *, alone: bool = False) -> Reading:
    """Ridge Cox with the burden beside the genes, penalised 1/scale² as much."""

    def read(part: Part) -> Risk:
        own, other = burden(part)
        x = np.hstack([part.x[:, : 0 if alone else None], scale * own])
        x_test = np.hstack([part.x_test[:, : 0 if alone else None], scale * other])
        return ridge(part, x, x_test)[0]

    return read


def by_events(part: Part) -> Risk:
    """Ridge Cox that penalises genes more whose carriers have few events."""
    middle = np.median(part.x, axis=0)
    carriers = np.abs(part.x - middle) > 1e-6
    events = carriers[part.event].sum(axis=0)
    weight = np.sqrt(events / (events + 10.0))
    return ridge(part, part.x * weight, part.x_test * weight)[0]


TABLES: dict[str, Reading] = {
    "raw": linear,
    "pc16": components(16),
    "pc32": components(32),
    "burden": with_burden(1.0, alone=True),
    "raw_burden": with_burden(1.0),
    "raw_burden3": with_burden(3.0),
    "by_events": by_events,
}

# Rules that choose a penalty


def deals(part: Part, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gain of each penalty in each fold of each deal, penalties, coefficients at each."""
    outcome = Outcome.of(part.time, part.event)
    sets, axes = RiskSets.of(outcome, "efron"), Axes.of(x, scale=False)
    largest = axes.lengths.max(initial=0.0) ** 2 / len(x) or 1.0
    grid = falling(100 * largest, 1e-4 * largest, 20, SMALLEST)
    z, base, folds = axes.z, np.zeros(len(x)), inner_fold_count(part.event)
    rng = np.random.default_rng(0)
    gain = np.zeros((DEALS, folds, len(grid)))
    for deal in range(DEALS):
        for fold, held in enumerate(stratified_folds(part.event, folds, rng)):
            inner, coef = RiskSets.of(outcome[~held], "efron"), np.zeros(z.shape[1])
            null = sets.log_likelihood(base) - inner.log_likelihood(base[~held])
            for place, penalty in enumerate(grid):
                strength = penalty * len(inner.event)
                coef = climb(inner, z[~held], base[~held], strength, coef).coef
                risk = z @ coef
                held_out = sets.log_likelihood(risk) - inner.log_likelihood(risk[~held])
                gain[deal, fold, place] = held_out - null
    coef, path = np.zeros(z.shape[1]), []
    for penalty in grid:
        coef = climb(sets, z, base, penalty * outcome.events, coef).coef
        path.append(axes.back(coef))
    return gain, grid, np.array(path)


def choose(gain: FloatArray, path: FloatArray, rule: str) -> FloatArray:
    """Coefficients that a rule takes from the gains of some deals, (deals, folds, penalties)."""
    total = gain.sum(axis=1).mean(axis=0)
    best = int(total.argmax())
    if rule == "minimum":
        return path[best]
    if rule == "one_se":
        folds = gain.shape[1]
        error = gain.std(axis=1, ddof=1).mean(axis=0) * np.sqrt(folds)
        return path[int(np.flatnonzero(total >= total[best] - error[best])[0])]
    if rule == "half_se":
        folds = gain.shape[1]
        error = gain.std(axis=1, ddof=1).mean(axis=0) * np.sqrt(folds)
        return path[int(np.flatnonzero(total >= total[best] - error[best] / 2)[0])]
    if rule == "median":
        each = gain.sum(axis=1).argmax(axis=1)
        return path[int(np.median(each))]
    if rule == "bagged":
        return path[gain.sum(axis=1).argmax(axis=1)].mean(axis=0)
    weight = np.exp(
        total - total[best]
    )  # of each penalty, as likely as its held-out events
    return np.asarray(weight @ path / weight.sum())


RULES = {
    "minimum3": ("minimum", 3),
    "minimum1": ("minimum", 1),
    "minimum5": ("minimum", 5),
    "one_se3": ("one_se", 3),
    "half_se3": ("half_se", 3),
    "median5": ("median", 5),
    "bagged3": ("bagged", 3),
    "bagged5": ("bagged", 5),
    "averaged1": ("averaged", 1),
    "averaged3": ("averaged", 3),
}


def rules(part: Part) -> Iterator[tuple[str, Risk]]:
    """Risks of every rule, with five disjoint sets of deals each."""
    x, x_test = part.x, part.x_test
    if x.shape[1] > WIDE:
        mean = x.mean(axis=0)
        axes, deviations = principal_axes(x - mean, 32)
        turn = axes.T / deviations[0]
        x, x_test = (x - mean) @ turn, (x_test - mean) @ turn
    gain, _, path = deals(part, x)
    both = np.vstack([x, x_test]) - x.mean(axis=0)
    for name, (rule, count) in RULES.items():
        for seed in range(5):
            own = gain[seed * count : (seed + 1) * count]
            yield f"{name}/{seed}", both @ choose(own, path, rule)


# Parts of cohorts, measures and rows


def numbers(cohort: Cohort, name: str, ids: list[str]) -> FloatArray:
    """Cells of a table as numbers, 0 where missing or no number; (patients, columns)."""
    data = cohort.modalities[name]
    if not isinstance(data, TableData):
        return np.zeros((len(ids), 0))
    cells = data.frame.reindex(ids)[list(data.inputs())]
    return cells.apply(pd.to_numeric, errors="coerce").fillna(0.0).to_numpy(float)


def z_scores(
    data: ExpressionData, train: list[str], test: list[str]
) -> list[FloatArray]:
    """Genes by mean and deviation of the training patients, with whatever tails they have."""
    own, other = (data.values(ids).astype(np.float64) for ids in (train, test))
    mean, deviation = np.nanmean(own, axis=0), np.nanstd(own, axis=0)
    usable = deviation > 0
    scaled = [((x - mean)[:, usable] / deviation[usable]) for x in (own, other)]
    return [np.nan_to_num(x) for x in scaled]


def part_of(
    cohort: Cohort, name: str, train: list[str], test: list[str]
) -> tuple[Part, pd.DataFrame]:
    """One modality, as transforms of the training patients give it."""
    config = FitConfig.of(modalities=(name,), expression_components=None)
    transforms = Transforms.fit(cohort, train, config)
    blocks, tables, outcome, present_in = [], [], [], []
    for ids in (train, test):
        x, has = BatchSource(cohort, transforms, ids).blocks()[name]
        own = [patient for patient, present in zip(ids, has, strict=True) if present]
        blocks.append(x[has])
        tables.append(numbers(cohort, name, own))
        outcome.append(cohort.outcome.loc[own])
        present_in.append(own)
    data = cohort.modalities[name]
    if isinstance(data, ExpressionData):
        blocks = z_scores(data, *present_in)
    return Part(
        blocks[0],
        blocks[1],
        outcome[0]["time"].to_numpy(float),
        outcome[0]["event"].to_numpy(bool),
        transforms.blanks.get(name, {}),
        *tables,
    ), outcome[1]


def drawn(cohort: Cohort, train: list[str], size: int, seed: int) -> list[str]:
    """As many training patients, with the same share of events."""
    event = cohort.outcome.loc[train, "event"].to_numpy(bool)
    events = max(5, round(size * event.mean()))
    rng = np.random.default_rng(seed)
    some = rng.permutation(np.flatnonzero(event))[:events]
    rest = rng.permutation(np.flatnonzero(~event))[: size - events]
    return [train[row] for row in sorted([*some, *rest])]


def training_sets(
    cohort: Cohort,
    question: str,
) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Fold, size, training and held-out patients."""
    event = cohort.outcome["event"].to_numpy(bool).mean()
    for number, fold in enumerate(sorted(set(cohort.folds))):
        train = [p for p in cohort.patients if cohort.folds[p] != fold]
        test = [p for p in cohort.patients if cohort.folds[p] == fold]
        if question == "penalty":
            if number > 2:
                return
            size = min(len(train), round(60 / event))
            yield fold, "60 events", drawn(cohort, train, size, number), test
            continue
        yield fold, "all", train, test
        repeats = 2 if question == "clinical" else 1
        for repeat in range(repeats):
            small = drawn(cohort, train, SMALL_TRAINING, 100 * number + repeat)
            yield f"{fold}.{repeat}", "100", small, test


def measures(part: Part, outcome: pd.DataFrame, risk: Risk) -> dict[str, float]:
    """Concordance and gain in log partial likelihood per event, of held-out patients."""
    time, event = outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)
    own = risk[len(part.x) :]
    sets = RiskSets.of(Outcome.of(time, event), "efron")
    gain = sets.log_likelihood(own) - sets.log_likelihood(np.zeros(len(own)))
    tau = float(np.quantile(part.time, 0.9))
    uno = uno_c(time, event, own, tau, (part.time, part.event)).value
    harrell = harrell_c(time, event, own).value
    return {"harrell": harrell, "uno": uno, "gain": gain / event.sum(), "sd": own.std()}


def readings(question: str, part: Part) -> Iterator[tuple[str, Risk, float]]:
    """Name, risks and seconds of each reading, means of readings last."""
    if question == "penalty":
        for name, risk in rules(part):
            yield name, risk, 0.0
        return
    known: dict[str, Risk] = {}
    own = READINGS[question]
    for name, reading in own.items():
        if name in ("genes", "sparse", "pc128") and len(part.x) > 200:
            continue
        start = clock.perf_counter()
        known[name] = reading(part)
        yield name, known[name], clock.perf_counter() - start
    for name, parts in MEANS.items():
        if all(one in known for one in parts):
            yield name, np.mean([known[one] for one in parts], axis=0), 0.0


READINGS = {
    "clinical": CLINICAL,
    "expression": EXPRESSION,
    "limits": LIMITS,
    "percentiles": PERCENTILES,
    "asinh": ASINH,
    "tables": TABLES,
}
MODALITIES = {
    "limits": ("expression",),
    "percentiles": ("expression",),
    "asinh": ("expression",),
    "clinical": ("clinical", "blood"),
    "expression": ("expression",),
    "tables": ("mut", "cnv"),
    "penalty": ("clinical", "expression"),
}


def run(question: str, folder: Path, out: Path) -> None:
    """Measure every reading of a question in one cohort, and keep the rows."""
    target = out / question / f"{folder.name}.csv"
    if target.exists():
        return
    cohort = sf.load_cohort(folder / "cohort.yaml")
    rows = []
    start = clock.perf_counter()
    for fold, size, train, test in training_sets(cohort, question):
        for name in MODALITIES[question]:
            if name not in cohort.modalities:
                continue
            part, outcome = part_of(cohort, name, train, test)
            label = f"{folder.name}/{name}"
            row = {
                "cohort": label,
                "fold": fold,
                "size": size,
                "events": part.event.sum(),
            }
            for reading, risk, seconds in readings(question, part):
                own = measures(part, outcome, risk)
                rows.append({**row, "reading": reading, **own, "seconds": seconds})
    target.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(target, index=False)
    print(question, folder.name, f"{clock.perf_counter() - start:.0f} s", flush=True)


def report(out: Path) -> None:
    """Print, per question and size, the mean of each reading less that of the first one."""
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        rows = pd.concat(
            [
                pd.read_csv(path)
                for path in sorted(folder.glob("*.csv"))
                if path.stat().st_size > 9
            ]
        )
        first = rows["reading"].iloc[0]
        for size, own in rows.groupby("size"):
            key = ["cohort", "fold"]
            values = own.set_index([*key, "reading"]).unstack("reading")
            print(f"\n{folder.name}, {size}, {len(values)} fits, less {first}")
            print(differences(values, first).to_string())


def differences(values: pd.DataFrame, first: str) -> pd.DataFrame:
    """Mean over cohorts of each reading, its difference from the first, and the worst cohort."""
    table = []
    for reading in values["harrell"].columns:
        row = {"reading": reading}
        for measure in ("harrell", "uno", "gain"):
            apart = (values[measure][reading] - values[measure][first]).dropna()
            each = apart.groupby("cohort").mean()
            row[f"d_{measure}"] = round(each.mean(), 4)
            if measure != "uno":
                row[f"se_{measure}"] = round(each.std() / np.sqrt(len(each)), 4)
                row[f"least_{measure}"] = f"{each.min():+.3f} {each.idxmin()}"
                row[f"wins_{measure}"] = f"{(each > 0).sum()}/{len(each)}"
        row["C"] = round(values["harrell"][reading].groupby("cohort").mean().mean(), 4)
        row["seconds"] = round(values["seconds"][reading].mean(), 2)
        table.append(row)
    return (
        pd.DataFrame(table)
        .set_index("reading")
        .sort_values("d_harrell", ascending=False)
    )


def main() -> None:
    """Run one question over some cohort folders, or print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=[*MODALITIES, "report"])
    parser.add_argument("-c", "--cohorts", type=Path, nargs="*", default=[])
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    if given.question == "report":
        report(given.out)
    for folder in given.cohorts:
        run(given.question, folder, given.out)


if __name__ == "__main__":
    main()
