"""Cohorts from tables in memory, by the code that reads cohort files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from survfuse._errors import CohortError
from survfuse.cohort.frame_draft import Draft
from survfuse.cohort.frame_tables import WHERE, FrameInput
from survfuse.cohort.memory_sources import MemorySources
from survfuse.cohort.prior_section import named_priors

if TYPE_CHECKING:
    from survfuse.cohort.cohort_data import Cohort
    from survfuse.readers.bags import BagStore


def cohort_of(
    given: FrameInput,
    *,
    allow_followup: Collection[str] = (),
    priors: Collection[Path | str] = (),
) -> Cohort:
    """Make a cohort of tables in memory, by the code that reads cohort files.

    Raises
    ------
    CohortError, ConfigError, LeakageError
        As :func:`~survfuse.cohort.load_cohort`.
    """
    from survfuse.cohort.assembly import assemble
    from survfuse.cohort.leakage import refuse_leaks
    from survfuse.cohort.modalities import BagData, TableData

    draft = Draft(given)
    try:
        spec = draft.spec().with_priors(named_priors(priors))
        sources = MemorySources(draft.memory, draft.problems, spec.match)
        cohort = assemble(
            spec,
            sources,
            need_outcome=spec.outcome is not None,
            allow_followup=allow_followup,
        )
        draft.problems.raise_errors(WHERE)
        if cohort is None:
            raise CohortError(f"{WHERE}: no patient can be used")
        if cohort.outcome is not None:
            refuse_leaks(cohort, allow_followup, WHERE)
    except BaseException:
        draft.remove_stores()
        raise
    modalities = dict(cohort.modalities)
    stores: list[BagStore] = []
    for name, data in modalities.items():
        if isinstance(data, TableData) and draft.inferred.get(name):
            modalities[name] = replace(data, inferred=draft.inferred[name])
        elif isinstance(data, BagData) and draft.is_temporary(name):
            stores.append(data.store)
    if stores and draft.stores is not None:
        draft.stores.keep_for(stores)
    return replace(cohort, modalities=modalities)


def declared_columns(cohort: Cohort) -> dict[str, dict[str, Any]]:
    """What each column of the tables of a cohort is; see :attr:`Cohort.columns`."""
    from survfuse.cohort.modalities import TableData

    columns = {}
    for data in cohort.modalities.values():
        if isinstance(data, TableData):
            for name, one in data.columns.items():
                own = one.model_dump(mode="json", exclude_defaults=True)
                columns[name] = {"kind": one.kind, **own}
    return columns
