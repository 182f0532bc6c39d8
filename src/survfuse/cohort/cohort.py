"""From a cohort file to a cohort: read everything, collect every problem, then judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from survfuse._errors import CohortError, listed
from survfuse.cohort.cohort_data import Cohort, FlowStep
from survfuse.cohort.duplicates import check_duplicates
from survfuse.cohort.expression_section import (
    orientation_hint,
    read_modality_expression,
)
from survfuse.cohort.leakage import refuse_leaks
from survfuse.cohort.modalities import BagData, ExpressionData, ModalityData, TableData
from survfuse.cohort.outcome import OutcomeTable, read_outcome
from survfuse.cohort.problems import Problems
from survfuse.cohort.slide_table import read_slides
from survfuse.cohort.sources import Sources
from survfuse.cohort.spec import (
    CohortSpec,
    ExpressionSpec,
    ModalitySpec,
    TableSpec,
    load_spec,
)
from survfuse.cohort.tables import check_cells, note_followup, read_modality_table
from survfuse.readers.cell_text import only_difference, spellings, whole_cells
from survfuse.readers.matrices import MISSING

__all__ = ["Cohort", "load_cohort", "read_cohort"]


def load_cohort(
    path: Path | str,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
) -> Cohort:
    """Load a cohort from its YAML file.

    Parameters
    ----------
    path : path
        The cohort file; paths in it are relative to it.
    need_outcome : bool
        False, for prediction, lets the outcome be absent: the patients are then
        everyone who has any modality, with or without an outcome.
    allow_followup : collection of str
        Columns (or whole modalities) that are inputs although their content is the outcome, by name.

    Returns
    -------
    Cohort
        Its doubts are in ``.problems``.

    Raises
    ------
    ConfigError
        When the cohort file itself is wrong.
    CohortError
        Lists every error found in the data.
    LeakageError
        When the content of an input is the outcome.
    """
    cohort, problems = read_cohort(
        path,
        need_outcome=need_outcome,
        allow_followup=allow_followup,
    )
    problems.raise_errors(path)
    if cohort is None:
        raise CohortError(f"{path}: no patient can be used")
    if need_outcome:
        refuse_leaks(cohort, allow_followup, str(path))
    return cohort


def read_cohort(
    path: Path | str,
    *,
    need_outcome: bool = True,
    allow_followup: Collection[str] = (),
    refuse_followup: bool = False,
    verify: bool = False,
) -> tuple[Cohort | None, Problems]:
    """Read a cohort as far as it goes, with every problem on the way.

    Parameters
    ----------
    path : path
    need_outcome : bool
    allow_followup : collection of str
        Columns known only during follow-up that may be inputs.
    refuse_followup : bool
        Whether any other is an error; otherwise it is warned of, and left to the configuration of the fit.
    verify : bool
        Whether to hash every file of features, and every slide of a packed store, again.

    Returns
    -------
    cohort : Cohort or None
        None when no patient is left. It must not be used when there are errors.
    problems : Problems
        Everything found.
    """
    spec = load_spec(path)
    problems = Problems()
    sources = Sources(Path(path).resolve().parent, problems, verify=verify)
    outcome = _outcome(spec, sources, need_outcome)
    whole = _modalities(spec, sources)
    everyone = {patient for data in whole.values() for patient in data.patients}
    ids = _patients(spec, outcome, everyone, problems, need_outcome)
    if need_outcome and outcome is not None:
        _report_strangers(spec, whole, outcome, problems)
    modalities = {name: data.subset(ids) for name, data in whole.items()}
    _verify_tiles(modalities, problems)
    has_any = {patient for data in modalities.values() for patient in data.patients}
    flow = outcome.flow if outcome is not None else ()
    used = sorted(ids & has_any)
    frame = _outcome_frame(outcome, used)
    if len(used) < len(ids):
        flow = (*flow, _without_data(sorted(ids - has_any), used, frame, problems))
    _check_contents(spec, modalities, frame, problems)
    note_followup(
        modalities,
        spec.file,
        allow_followup,
        problems,
        refuse=refuse_followup,
    )
    folds = _folds(spec, used, sources)
    groups = _groups(spec, used, sources)
    if not used:
        if not problems.errors:
            problems.error(
                "cohort",
                "no patient has an outcome and at least one modality",
            )
        return None, problems
    cohort = Cohort(
        spec.name,
        spec,
        sources.root,
        tuple(used),
        frame,
        modalities,
        folds,
        groups,
        problems.all(),
        flow,
    )
    return cohort, problems


def _outcome(
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
    if need_outcome:
        sources.problems.error(
            "outcome",
            "the cohort file has no outcome section",
            hint="add `outcome: {table, time, unit, event or censored}`",
        )
    return None


def _modalities(spec: CohortSpec, sources: Sources) -> dict[str, ModalityData]:
    """Read every modality, whole; those that cannot be read are problems and left out."""
    found: dict[str, ModalityData] = {}
    for name, section in spec.sections().items():
        data = _modality(name, section, spec, sources)
        if data is not None:
            found[name] = data
    return found


def _modality(
    name: str,
    section: ModalitySpec,
    spec: CohortSpec,
    sources: Sources,
) -> ModalityData | None:
    if isinstance(section, TableSpec):
        return read_modality_table(name, section, spec, sources)
    if isinstance(section, ExpressionSpec):
        return read_modality_expression(name, section, spec, sources)
    store = read_slides(name, section, sources, exclude=spec.exclude)
    return None if store is None else BagData(name, store, tuple(store.patients))


def _verify_tiles(modalities: Mapping[str, ModalityData], problems: Problems) -> None:
    """Hold the packed tiles of the patients against their hashes, before anything is made of them."""
    for name, data in modalities.items():
        if isinstance(data, BagData):
            with problems.catch(name):
                data.store.verify(data.patients)


def _patients(
    spec: CohortSpec,
    outcome: OutcomeTable | None,
    everyone: set[str],
    problems: Problems,
    need_outcome: bool,
) -> set[str]:
    """Choose the patients of the cohort: those with a valid outcome, or everyone with data."""
    known = everyone | set(outcome.listed if outcome is not None else ())
    unknown = [patient for patient in spec.exclude if patient not in known]
    if unknown:
        trivial = only_difference(unknown, known)
        problems.warning(
            "exclude",
            "no such patient in any table",
            patients=unknown,
            hint=trivial,
        )
    if need_outcome and outcome is not None:
        return set(outcome.frame.index)
    return everyone - set(spec.exclude)


def _report_strangers(
    spec: CohortSpec,
    whole: Mapping[str, ModalityData],
    outcome: OutcomeTable,
    problems: Problems,
) -> None:
    """Note patients of a modality that the outcome table does not list."""
    known = {*outcome.listed, *spec.exclude}
    for name, data in whole.items():
        strangers = [patient for patient in data.patients if patient not in known]
        trivial = only_difference(strangers, outcome.listed)
        if strangers and len(strangers) == len(data.patients):
            section, hint = spec.sections()[name], ""
            if isinstance(data, ExpressionData) and isinstance(section, ExpressionSpec):
                hint = orientation_hint(data, section, outcome.listed)
            problems.error(
                name,
                f"none of its {len(strangers)} patients ({listed(map(repr, strangers), 3)}) is in the "
                f"outcome table ({listed(map(repr, outcome.listed), 3)})",
                file=spec.file(name),
                hint=hint
                or trivial
                or "ids must be the same text in every table, leading zeros included",
            )
        elif strangers:
            problems.warning(
                name,
                f"{len(strangers)} patient(s) without a row in the outcome table, not used: "
                f"{listed(strangers, 20)}",
                file=spec.file(name),
                hint=trivial,
            )
        elif not data.patients:
            problems.error(name, "no patient has any data", file=spec.file(name))


def _outcome_frame(
    outcome: OutcomeTable | None,
    used: list[str],
) -> pd.DataFrame | None:
    """Outcome of the used patients in their order; NaN and False where not known."""
    if outcome is None:
        return None
    frame = outcome.frame.reindex(used)
    frame["event"] = (frame["event"] == True).astype(bool)  # noqa: E712 (missing compares as False)
    frame.index = pd.Index(used, name="patient_id", dtype=object)
    return frame if frame["time"].notna().any() else None


def _without_data(
    ids: list[str],
    used: list[str],
    frame: pd.DataFrame | None,
    problems: Problems,
) -> FlowStep:
    problems.warning(
        "cohort",
        f"{len(ids)} patient(s) with an outcome but no modality, left out: {listed(ids, 20)}",
    )
    events = None if frame is None else int(frame["event"].sum())
    return FlowStep(
        "at least one modality",
        len(used),
        events,
        f"no modality ({len(ids)}): {listed(ids, 100)}",
    )


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
    check_duplicates(modalities, outcome, problems)


def _folds(
    spec: CohortSpec,
    used: list[str],
    sources: Sources,
) -> pd.Series[str] | None:
    """Read the given folds; every patient must have one."""
    if spec.folds is None:
        return None
    column = _column(
        spec,
        spec.folds.table,
        spec.folds.column,
        spec.folds.patient,
        "folds",
        sources,
    )
    if column is None:
        return None
    listed_ids = column.index
    column = column.reindex(used).fillna("")
    without = [patient for patient, fold in column.items() if not fold]
    if without:
        sources.problems.error(
            "folds",
            f"{len(without)} patient(s) have no fold",
            patients=map(str, without),
            file=spec.folds.table,
            column=spec.folds.column,
            hint=only_difference(map(str, without), map(str, listed_ids))
            or "every patient needs a fold; or exclude them, or remove `folds`",
        )
    return column.rename("fold")


def _groups(spec: CohortSpec, used: list[str], sources: Sources) -> pd.DataFrame:
    """Read the group columns; empty text where a patient has none."""
    groups = pd.DataFrame(index=pd.Index(used, name="patient_id", dtype=object))
    home = spec.outcome or spec.clinical
    for name, group in spec.groups.items():
        table = group.table or (home.table if home is not None else None)
        if table is None:
            sources.problems.error(
                "groups",
                f"say the table of group {name!r}",
                hint="{table: ..., column: ...}",
            )
            continue
        column = _column(spec, table, group.column, group.patient, "groups", sources)
        if column is None:
            continue
        for same in spellings(column.reindex(used).dropna()):
            sources.problems.warning(
                "groups",
                f"{listed(map(repr, same))} are nearly the same; they count as {len(same)} groups",
                file=table,
                column=group.column,
                hint="write them the same way",
            )
        groups[name] = column.reindex(used).fillna("")
        _note_ungrouped(groups[name], column, table, group.column, sources)
    return groups


def _note_ungrouped(
    groups: pd.Series[str],
    listed_cells: pd.Series[str],
    table: Path,
    name: str,
    sources: Sources,
) -> None:
    """Refuse a grouping without anybody, and say who lost theirs to a trifle of the id."""
    without = [
        str(patient) for patient in groups.index if patient not in listed_cells.index
    ]
    trifle = only_difference(
        without,
        map(str, listed_cells.index.difference(groups.index)),
    )
    if len(groups) and (groups == "").all():
        note = (
            sources.problems.error
            if len(without) == len(groups)
            else sources.problems.warning
        )
        hint = trifle or "correct the table, or remove this group"
        note("groups", "no patient has a group", file=table, column=name, hint=hint)
    elif trifle:
        sources.problems.warning(
            "groups",
            f"{len(without)} patient(s) have no row and so no group",
            patients=without,
            file=table,
            column=name,
            hint=trifle,
        )


def _column(
    spec: CohortSpec,
    table: Path,
    name: str,
    patient: str | None,
    where: str,
    sources: Sources,
) -> pd.Series[str] | None:
    """Read a column of names; `1.0` is `1`, and a cell that says "not known" is empty."""
    id_column = patient or (
        spec.outcome.patient if spec.outcome is not None else "patient_id"
    )
    cells = sources.by_patient(table, id_column, where)
    column = None if cells is None else sources.column(cells, name, table, where)
    return (
        None if column is None else whole_cells(column).mask(column.isin(MISSING), "")
    )
