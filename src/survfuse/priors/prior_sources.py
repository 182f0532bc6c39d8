"""Cohorts that a prior is fitted on: what each gives, and which do not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from survfuse._errors import InputError, LeakageError, context, listed
from survfuse._storage import sha256_text
from survfuse._types import FloatArray
from survfuse.cohort import Cohort, ExpressionData, TableData
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.transform_tables import TableTransform
from survfuse.cohort.transforms import check_followup
from survfuse.config import FitConfig
from survfuse.readers.genes import match_genes
from survfuse.readers.priors import LIMIT, tcga_barcode
from survfuse.survival.cox import ridge_cox_cv
from survfuse.survival.right_censored import Outcome

FEWEST_EVENTS, FEWEST_GENES = 20, 50
USUAL_OFFSETS = "clinical"
"""Table of the offsets, which a cohort need not have; of another name, one must."""
SMALLEST_PENALTY, REPEATS = 0.01, 3
"""Of the offset's ridge Cox, as of a clinical baseline."""


@dataclass(frozen=True, eq=False)
class Source:
    """What one cohort gives to a prior.

    Attributes
    ----------
    name, endpoint : str
    fingerprint : str
        Of the cohort's contents.
    patients : tuple of str
        Those with an outcome and expression.
    outcome : Outcome
    gene_ids : str
    genes : tuple of str
    z : array, (patients, genes)
        On a log scale; see :func:`limited_z_scores`.
    offset : array, (patients,)
        Log-risk of a ridge Cox regression on the cohort's own clinical table.
    offset_features : tuple of str
        What that regression read; empty without one.
    """

    name: str
    endpoint: str
    fingerprint: str
    patients: tuple[str, ...]
    outcome: Outcome
    gene_ids: str
    genes: tuple[str, ...]
    z: FloatArray
    offset: FloatArray
    offset_features: tuple[str, ...]

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        expression: str,
        offsets: str | None,
    ) -> Source:
        """Read a cohort.

        Parameters
        ----------
        cohort : Cohort
        expression : str
            Modality whose genes get weights.
        offsets : str or None
            Table that the offset is fitted on, where the cohort has it.

        Raises
        ------
        InputError
            Without an outcome or that expression.
        LeakageError
            When an input accrues during follow-up, or is the outcome.
        """
        data = cohort.modalities.get(expression)
        if not isinstance(data, ExpressionData):
            raise InputError(
                f"{expression!r} is no expression modality of this cohort; it has "
                f"{_named(cohort, ExpressionData)}: a prior is fitted on expression",
            )
        if cohort.outcome is None:
            raise InputError("no outcome; a prior is fitted on cohorts with `outcome`")
        table = None if offsets is None else cohort.modalities.get(offsets)
        if table is not None and not isinstance(table, TableData):
            raise InputError(
                f"offset {offsets!r}: expected a table; it has {_named(cohort, TableData)}",
            )
        names = [expression] if table is None else [expression, table.name]
        check_followup(cohort, FitConfig.of(), names)
        refuse_leaks(cohort, (), only=names)
        known = cohort.outcome.index[cohort.outcome["time"].notna()]
        patients = tuple(known[known.isin(data.patients)])
        rows = cohort.outcome.loc[list(patients)]
        outcome = Outcome.of(rows["time"], rows["event"].astype(bool))
        offset, features = _offset(table, patients, outcome)
        return cls(
            cohort.name,
            str(cohort.endpoint),
            cohort.fingerprint(),
            patients,
            outcome,
            data.expression.gene_ids,
            data.expression.genes,
            limited_z_scores(data.log_values(patients)),
            offset,
            features,
        )

    def card(self) -> dict[str, object]:
        """Plain values for the card of a prior; nothing of a patient."""
        return {
            "name": self.name,
            "endpoint": self.endpoint,
            "patients": len(self.patients),
            "events": self.outcome.events,
            "genes": len(self.genes),
            "offset": list(self.offset_features),
            "sha256": sha256_text(self.fingerprint),
        }


def limited_z_scores(values: FloatArray) -> FloatArray:
    """Z-scores of each column, limited to `LIMIT` deviations and z-scored again; same shape.

    0 where a value is missing or a column does not vary.
    """
    return _z_scores(np.clip(_z_scores(values), -LIMIT, LIMIT))


def _z_scores(values: FloatArray) -> FloatArray:
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, values, 0.0)
    above = np.where(known, filled - filled.sum(axis=0) / count, 0.0)
    spread = np.sqrt((above**2).sum(axis=0) / count)
    varies = spread > 1e-9 * np.abs(filled).max(axis=0, initial=0.0)
    return np.asarray(above / np.where(varies, spread, np.inf))


def read_sources(
    cohorts: Sequence[Cohort],
    expression: str,
    offsets: str | None,
    *,
    mix_endpoints: bool,
) -> list[Source]:
    """Read cohorts and refuse those that do not fit together.

    Parameters
    ----------
    cohorts, expression, offsets, mix_endpoints
        As in :func:`survfuse.priors.fit_prior`.

    Raises
    ------
    InputError
        For no cohort, the same one twice, another endpoint or gene naming, or too few events.
    LeakageError
        For a patient in two cohorts.
    """
    sources = []
    for cohort in cohorts:
        with context(f"cohort {cohort.name!r}"):
            sources.append(Source.of(cohort, expression, offsets))
    if offsets not in (None, USUAL_OFFSETS) and not any(
        offsets in cohort.modalities for cohort in cohorts
    ):
        raise InputError(
            f"offset {offsets!r}: no cohort has this table; name one, or leave offsets out "
            "(`--offsets none`)",
        )
    _refuse_repeated(sources)
    _refuse_shared_patients(sources)
    endpoints = {source.endpoint.strip().casefold() for source in sources}
    if len(endpoints) > 1 and not mix_endpoints:
        raise InputError(
            f"{_each(sources, 'endpoint')}: expected one endpoint; give cohorts of one, write the "
            "same `endpoint` where it is the same, or allow it (`--mix-endpoints`)",
        )
    if len({source.gene_ids for source in sources}) > 1:
        raise InputError(
            f"{_each(sources, 'gene_ids')}: expected one kind of gene ids; convert them to one",
        )
    events = sum(source.outcome.events for source in sources)
    if events < FEWEST_EVENTS:
        raise InputError(
            f"{events} events in {len(sources)} cohort(s); a prior needs {FEWEST_EVENTS} or more",
        )
    return sources


def shared_genes(sources: Sequence[Source]) -> tuple[tuple[str, ...], FloatArray]:
    """Genes that every cohort has, and the z-scores of all patients, (patients, genes).

    Names are those of the first cohort; spellings that carry no meaning do not matter.

    Raises
    ------
    InputError
        For fewer than `FEWEST_GENES`.
    """
    first = sources[0].genes
    places = [match_genes(first, own.genes, own.gene_ids)[0] for own in sources]
    shared = np.flatnonzero(np.min(places, axis=0) >= 0)
    if len(shared) < FEWEST_GENES:
        counts = listed(f"{own.name}: {len(own.genes)}" for own in sources)
        raise InputError(
            f"{len(shared)} genes are in every cohort ({counts}); a prior needs {FEWEST_GENES} or "
            "more: are they named alike, and is `gene_suffix` right?",
        )
    blocks = []
    for own, place in zip(sources, places, strict=True):
        blocks.append(own.z[:, place[shared]])
    return tuple(first[gene] for gene in shared), np.concatenate(blocks)


def _named(cohort: Cohort, kind: type) -> str:
    """Names of the modalities of one type, for a message."""
    chosen = [
        name for name, data in cohort.modalities.items() if isinstance(data, kind)
    ]
    return listed(chosen) or "none"


def _offset(
    table: TableData | None,
    patients: Sequence[str],
    outcome: Outcome,
) -> tuple[FloatArray, tuple[str, ...]]:
    """Log-risk of the table, (patients,), 0 for who has no row; and the features it read."""
    offset = np.zeros(len(patients))
    has = np.isin(np.array(patients, str), table.patients if table is not None else ())
    if table is None or outcome[has].events < 2:
        return offset, ()
    rows = [patient for patient, one in zip(patients, has, strict=True) if one]
    transform = TableTransform.fit(table, rows, outcome.event[has])
    x = transform.apply(table, rows)[0].astype(np.float64)
    path = ridge_cox_cv(
        x,
        outcome.time[has],
        outcome.event[has],
        smallest=SMALLEST_PENALTY,
        repeats=REPEATS,
    )
    offset[has] = (x - x.mean(axis=0)) @ path.coef
    return offset, transform.features


def _each(sources: Sequence[Source], field: str) -> str:
    """Value of a field of each cohort, for a message."""
    return listed((f"{one.name}: {getattr(one, field)!r}" for one in sources), 10)


def _refuse_repeated(sources: Sequence[Source]) -> None:
    """Refuse no cohort at all, one given twice, and two of one name."""
    if not sources:
        raise InputError("no cohort; a prior needs at least one")
    contents: dict[str, str] = {}
    for source in sources:
        if source.fingerprint in contents:
            raise InputError(
                f"cohorts {contents[source.fingerprint]!r} and {source.name!r} hold the same "
                "patients and values; give it once",
            )
        if source.name in contents.values():
            raise InputError(
                f"two cohorts are called {source.name!r}; give each another `name`",
            )
        contents[source.fingerprint] = source.name


def _refuse_shared_patients(sources: Sequence[Source]) -> None:
    """Refuse a patient, by TCGA barcode or else by id, who is in two cohorts."""
    owners: dict[str, str] = {}
    shared: dict[str, list[str]] = {}
    for source in sources:
        ids = {tcga_barcode(patient) or patient for patient in source.patients}
        for patient in sorted(ids.intersection(owners)):
            pair = f"{owners[patient]!r} and {source.name!r}"
            shared.setdefault(pair, []).append(patient)
        owners |= dict.fromkeys(ids, source.name)
    if shared:
        pair, patients = next(iter(shared.items()))
        raise LeakageError(
            f"cohorts {pair} share {len(patients)} patient(s): {listed(patients)}; leave them out "
            "of one (`exclude`), for the risk of a cohort must come from other patients (if these "
            "are other people under the same ids, rename them)",
        )
