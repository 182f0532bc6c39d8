"""From the sections of a cohort and what reads them to a cohort: every problem, then judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from survfuse._errors import listed
from survfuse.cohort.cell_checks import check_cells
from survfuse.cohort.cohort_data import Cohort, FlowStep
from survfuse.cohort.duplicates import check_duplicates
from survfuse.cohort.expression_section import (
    orientation_hint,
    read_modality_expression,
)
from survfuse.cohort.group_sections import read_folds, read_groups
from survfuse.cohort.members import without
from survfuse.cohort.modalities import (
    BagData,
    ExpressionData,
    ModalityData,
    PriorData,
    TableData,
)
from survfuse.cohort.outcome import OutcomeTable, read_outcome
from survfuse.cohort.prior_section import (
    check_prior,
    read_modality_prior,
    refuse_late_columns,
)
from survfuse.cohort.problems import Problems
from survfuse.cohort.slide_table import read_slides
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import CohortSpec, ExpressionSpec, TableSpec
from survfuse.cohort.tables import note_followup, read_modality_table
from survfuse.readers.cell_text import only_difference


def assemble(
    spec: CohortSpec,
    sources: Sources,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
    refuse_followup: bool = False,
) -> Cohort | None:
    """Read the sections of a cohort from its sources, with every problem on the way.

    Parameters
    ----------
    spec : CohortSpec
        What the sections say, one of its endpoints chosen.
    sources : Sources
        Reads tables, matrices and slides, and collects problems.
    need_outcome, allow_followup, refuse_followup
        As in :func:`survfuse.cohort.cohort.read_cohort`.

    Returns
    -------
    Cohort or None
        None when no patient is left. It must not be used when there are errors.
    """
    problems = sources.problems
    outcome = _read_outcome(spec, sources, need_outcome)
    whole = _read_modalities(spec, sources)
    ids = _choose_patients(spec, outcome, whole, problems, need_outcome)
    if need_outcome and outcome is not None:
        _report_unlisted(spec, whole, outcome, problems)
    modalities = {name: data.subset(ids) for name, data in whole.items()}
    _verify_tiles(modalities, problems)
    used = sorted(ids & _everyone(modalities))
    frame = _outcome_frame(outcome, used)
    flow = outcome.flow if outcome is not None else ()
    if len(used) < len(ids):
        without = sorted(ids.difference(used))
        flow = (*flow, _without_data(without, used, frame, problems))
    _check_contents(spec, modalities, frame, problems)
    note_followup(
        modalities,
        spec.file,
        allow_followup,
        problems,
        refuse=refuse_followup,
    )
    folds = read_folds(spec, used, sources)
    groups = read_groups(spec, used, sources)
    if not used:
        if not problems.errors:
            problems.at("cohort").error(
                "no patient has an outcome and at least one modality",
            )
        return None
    return Cohort(
        name=spec.name,
        spec=spec,
        root=sources.root,
        patients=tuple(used),
        outcome=frame,
        modalities=modalities,
        folds=folds,
        groups=groups,
        problems=problems.all(),
        flow=flow,
    )


def _read_outcome(
    spec: CohortSpec,
    sources: Sources,
    need_outcome: bool,
) -> OutcomeTable | None:
    if spec.outcome is not None:
        return read_outcome(
            spec.outcome,
            sources,
            exclude=spec.exclude,
            required=need_outcome,
        )
    if spec.outcomes:
        sources.problems.at("outcomes").warning(
            f"none of the endpoints {listed(spec.outcomes)} is chosen, so no outcome is read",
        )
    elif need_outcome:
        sources.problems.at("outcome").error(
            "the cohort file has no outcome section",
            hint="add `outcome: {table, time, unit, event or censored}`",
        )
    return None


def _read_modalities(
    spec: CohortSpec,
    sources: Sources,
) -> dict[str, ModalityData]:
    """Read every modality, whole; those that cannot be read are problems and left out."""
    modalities: dict[str, ModalityData] = {}
    for name, section in spec.sections().items():
        data: ModalityData | None
        if isinstance(section, TableSpec):
            data = read_modality_table(name, section, spec, sources)
        elif isinstance(section, ExpressionSpec):
            data = read_modality_expression(name, section, spec, sources)
        else:
            store = read_slides(name, section, sources, exclude=spec.exclude)
            data = None
            if store is not None:
                data = BagData(name, store, tuple(store.patients))
        if data is not None:
            modalities[name] = data
    measured = dict(modalities)
    for name, prior in spec.prior_sections().items():
        risk = read_modality_prior(name, prior, spec, sources, measured)
        if risk is not None:
            modalities[name] = risk
    return modalities


def _verify_tiles(
    modalities: Mapping[str, ModalityData],
    problems: Problems,
) -> None:
    """Compare the packed tiles of the patients with their hashes, before they are used."""
    for name, data in modalities.items():
        if isinstance(data, BagData):
            with problems.catch(name):
                data.store.verify(data.patients)


def _check_contents(
    spec: CohortSpec,
    modalities: Mapping[str, ModalityData],
    outcome: pd.DataFrame | None,
    problems: Problems,
) -> None:
    """Check what the values of the cohort's own patients say."""
    for name, data in modalities.items():
        if isinstance(data, TableData):
            check_cells(data, spec.file(name), problems)
        elif isinstance(data, PriorData):
            check_prior(data, spec.file(name), problems)
    refuse_late_columns(modalities, spec, problems)
    check_duplicates(modalities, outcome, problems)


def _everyone(modalities: Mapping[str, ModalityData]) -> set[str]:
    """Patients that have any of the modalities."""
    return set().union(*(data.patients for data in modalities.values()))


def _choose_patients(
    spec: CohortSpec,
    outcome: OutcomeTable | None,
    whole: Mapping[str, ModalityData],
    problems: Problems,
    need_outcome: bool,
) -> set[str]:
    """Choose the patients of the cohort: those with a valid outcome, or everyone with data."""
    everyone = _everyone(whole)
    known = everyone.union(outcome.listed if outcome is not None else ())
    unknown = without(spec.exclude, known)
    if unknown:
        problems.at("exclude").warning(
            "no such patient in any table",
            patients=unknown,
            hint=only_difference(unknown, known),
        )
    if need_outcome and outcome is not None:
        return set(outcome.frame.index)
    return everyone.difference(spec.exclude)


def _report_unlisted(
    spec: CohortSpec,
    whole: Mapping[str, ModalityData],
    outcome: OutcomeTable,
    problems: Problems,
) -> None:
    """Report patients of a modality that the outcome table does not list."""
    known = {*outcome.listed, *spec.exclude}
    for name, data in whole.items():
        if isinstance(data, PriorData) and data.prior is not None:
            continue  # its expression modality says the same
        place = problems.at(name, spec.file(name))
        unlisted = without(data.patients, known)
        hint = only_difference(unlisted, outcome.listed)
        if not data.patients:
            place.error("no patient has any data")
        elif len(unlisted) == len(data.patients):
            section = spec.sections().get(name)
            if isinstance(data, ExpressionData) and isinstance(section, ExpressionSpec):
                hint = orientation_hint(data, section, outcome.listed) or hint
            place.error(
                f"none of its {len(unlisted)} patients ({listed(map(repr, unlisted), 3)}) is in "
                f"the outcome table ({listed(map(repr, outcome.listed), 3)})",
                hint=hint
                or "ids must be the same text in every table, leading zeros included",
            )
        elif unlisted:
            place.warning(
                f"{len(unlisted)} patient(s) without a row in the outcome table, not used: "
                f"{listed(unlisted, 20)}",
                hint=hint,
            )


def _outcome_frame(
    outcome: OutcomeTable | None,
    used: list[str],
) -> pd.DataFrame | None:
    """Outcome of the used patients in their order; NaN and False where not known."""
    if outcome is None:
        return None
    frame = outcome.frame.reindex(used)
    frame["event"] = (frame["event"] == True).astype(bool)  # noqa: E712 (missing compares as False)
    frame.index = pd.Index(
        used,
        name="patient_id",
        dtype=object,
    )
    return frame if frame["time"].notna().any() else None


def _without_data(
    ids: list[str],
    used: list[str],
    frame: pd.DataFrame | None,
    problems: Problems,
) -> FlowStep:
    problems.at("cohort").warning(
        f"{len(ids)} patient(s) with an outcome but no modality, left out: {listed(ids, 20)}",
    )
    return FlowStep(
        "at least one modality",
        len(used),
        None if frame is None else int(frame["event"].sum()),
        f"no modality ({len(ids)}): {listed(ids, 100)}",
    )
