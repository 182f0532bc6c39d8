"""What the model of a run uses: terms out of fold, and whether halves of the cohort agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from survfuse._errors import CohortError, ConfigError, NotComputableError
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.cohort import Cohort
from survfuse.cohort.splits import Split
from survfuse.config import FitConfig, RunConfig
from survfuse.decomposition import decompose
from survfuse.decomposition.readings import CONSTANT, term_name
from survfuse.estimators import Fit, FoldContext
from survfuse.estimators.fitted import reference_of
from survfuse.explanations.agreement import SPLITS, measure_agreement, usual_halves
from survfuse.explanations.agreement_tables import agreement_frame
from survfuse.explanations.shares import shares_of
from survfuse.results.run_tables import plain_records
from survfuse.results.schema import Explanations

PLACE = ("repeat", "fold")
TAKEN = frozenset({"patient_id", *PLACE, CONSTANT})
"""Columns of a table of terms, which no modality can be called."""


def terms_of_fold(
    fold: FoldContext,
    fit: Fit,
    config: FitConfig,
    test: BatchSource,
) -> dict[str, list[float]] | None:
    """Terms of the log-risks of test patients, by name.

    None where the model cannot be explained, or only by averages over draws, which take too long
    for each fold, and where a modality has the name of another column.
    """
    try:
        parts = fit.model.parts(fit.transforms)
    except ConfigError:
        return None
    if not parts.exact:
        return None
    if not TAKEN.isdisjoint(parts.widths):
        return None
    reference = reference_of(fold, fit, parts, config.training.seed)
    effects = decompose(parts.members, parts.read(test), reference).effects
    return {term_name(term): own.tolist() for term, own in effects.items()}


def terms_table(
    splits: Sequence[Split],
    terms: Sequence[Mapping[str, Sequence[float]] | None],
) -> pd.DataFrame | None:
    """Terms of all out-of-fold log-risks; None where a fold has none.

    Parameters
    ----------
    splits : sequence of Split
    terms : sequence of mapping or None
        From :func:`terms_of_fold`, of the test patients of each split.

    Returns
    -------
    DataFrame or None
        `patient_id, repeat, fold, constant`, and a column per term, 0 where a fold has no such
        term; a row adds up to the log-risk.
    """
    tables = []
    for split, own in zip(splits, terms, strict=True):
        if own is None:
            return None
        table = pd.DataFrame(dict(own))
        table.insert(0, "patient_id", list(split.test))
        table.insert(1, "repeat", split.repeat)
        table.insert(2, "fold", split.fold)
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True).fillna(0.0)
    names = sorted(
        joined.columns.drop(["patient_id", *PLACE, CONSTANT]),
        key=lambda name: (name.count("*"), list(joined.columns).index(name)),
    )
    return joined[["patient_id", *PLACE, CONSTANT, *names]]


def shares_table(terms: pd.DataFrame, repeats: int = 1000) -> pd.DataFrame:
    """Share of each term in the variance of out-of-fold log-risks; see `explanations.shares`.

    Each fold's terms are centred on their own mean: folds are models of their own.
    """
    effects = terms.drop(columns=["patient_id", CONSTANT]).set_index(list(PLACE))
    centred = effects - effects.groupby(list(PLACE)).transform("mean")
    return shares_of(centred.set_index(pd.Index(terms["patient_id"])), repeats)


@dataclass(frozen=True)
class HalvesPlan:
    """Half models that a run shall fit.

    Attributes
    ----------
    halves : int
        Pairs; 0: none.
    groups : str or None
        Group whose patients stay together.
    note : str
        Why there are none.
    """

    halves: int
    groups: str | None
    note: str = ""

    @classmethod
    def of(cls, config: RunConfig) -> HalvesPlan:
        """As the configuration says; by default four pairs, none where networks are fused."""
        settings = config.crossval
        groups = settings.site if settings.split != "patients" else None
        if settings.halves is not None:
            note = "" if settings.halves else "crossval.halves is 0"
            return cls(settings.halves, groups, note)
        halves, note = usual_halves(config.model), ""
        if not halves:
            note = f"it takes {2 * SPLITS} fits of networks; ask with --halves {SPLITS}"
        return cls(halves, groups, note)


def explanations(
    plan: HalvesPlan,
    config: RunConfig,
    cohort: Cohort,
    terms: pd.DataFrame | None,
    progress: Callable[[str], None],
) -> Explanations:
    """Shares of the terms, and agreement of half models, as ``performance.json`` holds them."""
    shares: Any = None if terms is None else plain_records(shares_table(terms))
    record: Explanations = {"shares": shares, "agreement": None, "note": plan.note}
    if not plan.halves:
        return record
    try:
        measured = measure_agreement(
            cohort,
            config.model,
            halves=plan.halves,
            seed=config.crossval.seed,
            groups=plan.groups,
            progress=progress,
        )
    except (CohortError, ConfigError, NotComputableError) as error:
        return {**record, "note": str(error)}
    rows: Any = plain_records(agreement_frame(measured))
    return {
        "shares": shares,
        "agreement": rows,
        "patients": measured.patients,
        "half": measured.half,
        "note": "; ".join(measured.notes),
    }
